"""The store where processes meet: on this machine only, and from other nodes with a secret."""

import os
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from torch.distributed import DistError, TCPStore

from kalam.machine import meeting
from kalam.machine.meeting import HERE, Door, Passage, local_rendezvous, local_store

SOON = timedelta(seconds=5)


def listening(port: int) -> set[str]:
    """The addresses that something listens on at a port, as the kernel has them; Linux only."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    found = [row[1].split(":") for row in rows if row[3] == "0A"]
    return {address for address, where in found if int(where, 16) == port}


LOOPBACK = "0100007F"


def client(port: int) -> TCPStore:
    return TCPStore(HERE, port, is_master=False, timeout=SOON)


def test_the_store_listens_on_this_machine_alone():
    store = local_store()
    assert listening(store.port) == {LOOPBACK}
    client(store.port).set("key", "value")
    assert store.get("key") == b"value"


def test_so_does_the_one_of_the_elastic_agent():
    handler = local_rendezvous(type("Parameters", (), {"backend": "local", "run_id": "1"}))
    found = handler.next_rendezvous()
    assert (found.rank, found.world_size) == (0, 1)
    assert (found.bootstrap_store_info.master_addr, found.bootstrap_store_info.master_port) == (HERE, found.store.port)
    assert listening(found.store.port) == {LOOPBACK}


def test_with_the_secret_one_comes_through_a_door_and_without_it_not(monkeypatch):
    store = local_store()
    door = Door(store.port, HERE)
    passage = Passage(HERE, door.told)
    assert listening(passage.port) == {LOOPBACK}
    first, second = client(passage.port), client(passage.port)
    first.set("key", "v" * 200_000)
    assert second.get("key") == store.get("key") == b"v" * 200_000
    assert second.add("count", 2) + first.add("count", 3) == 7

    port = int(door.told.split(":")[0])
    monkeypatch.setattr(meeting, "PATIENCE", 0.2)
    for said in (b"", b"0" * 64, b"GET / HTTP/1.1", door.secret.encode()[:-1]):
        with socket.create_connection((HERE, port), timeout=5) as stranger:
            stranger.sendall(said)
            assert stranger.recv(100) == b""
    with pytest.raises(DistError):
        TCPStore(HERE, Passage(HERE, f"{port}:{'0' * 64}").port, is_master=False, timeout=timedelta(seconds=1))
    first.set("later", "as before")  # nobody waits for what is set, but for a key that is not there yet
    assert store.get("later") == b"as before"


def test_processes_on_two_nodes_meet_and_add_up():
    """Each has a passage of its own, as on a node of its own."""
    store = local_store()
    door = Door(store.port, HERE)
    work = "import torch; from torch import distributed as d; d.init_process_group('gloo'); x = torch.ones(1) * 3\n"
    work += "d.all_reduce(x); print(x.item()); d.destroy_process_group()"
    common = os.environ | {"MASTER_ADDR": HERE, "WORLD_SIZE": "2", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    passages = [Passage(HERE, door.told) for _ in range(2)]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", work],
            env=common | {"RANK": str(rank), "MASTER_PORT": str(passage.port)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank, passage in enumerate(passages)
    ]
    assert [process.communicate(timeout=120)[0] for process in started] == ["6.0\n", "6.0\n"]
