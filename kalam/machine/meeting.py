"""Where the processes of a training meet: a store that nobody but they can reach.

torch's own listens on every address of the machine, and gives and takes keys to and from anyone. Here it listens on
127.0.0.1; processes on other nodes come through a door that asks for a secret first.
"""

import hmac
import os
import secrets
import socket
import socketserver
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.distributed import TCPStore
    from torch.distributed.elastic.rendezvous import RendezvousHandler, RendezvousParameters

HERE = "127.0.0.1"
SECRET = "KALAM_MEETING"  # the variable that has the door's port and secret
PATIENCE = 20  # seconds for a secret to be told in
PIECE = 1 << 16  # bytes


def local_store() -> "TCPStore":
    """A store that this process holds, on a port that is free, for this machine alone."""
    from torch.distributed import TCPStore

    with socket.create_server((HERE, 0), backlog=1024) as listening:
        port, descriptor = listening.getsockname()[1], listening.detach()
    return TCPStore(HERE, port, is_master=True, wait_for_workers=False, master_listen_fd=descriptor)


def local_rendezvous(parameters: "RendezvousParameters") -> "RendezvousHandler":
    """What torch's elastic agent asks where its workers meet: at a local store, each time it starts them."""
    from torch.distributed.elastic.rendezvous import RendezvousHandler, RendezvousInfo, RendezvousStoreInfo

    class Local(RendezvousHandler):
        store = local_store()
        use_agent_store = True  # by the workers too, so that none of them opens another

        def get_backend(self) -> str:
            return parameters.backend

        def next_rendezvous(self) -> RendezvousInfo:
            return RendezvousInfo(self.store, 0, 1, RendezvousStoreInfo(HERE, self.store.port))

        def is_closed(self) -> bool:
            return False

        def set_closed(self) -> None:
            pass

        def num_nodes_waiting(self) -> int:
            return 0

        def get_run_id(self) -> str:
            return parameters.run_id

        def shutdown(self) -> bool:
            return True

    return Local()


class Door(socketserver.ThreadingTCPServer):
    """Listens on every address; lets those through to a port of this machine who first tell its secret."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 1024

    def __init__(self, port: int, address: str = "0.0.0.0"):
        super().__init__((address, 0), Visitor)
        self.behind, self.secret = port, secrets.token_hex(32)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def told(self) -> str:
        """What those are given who are to come through."""
        return f"{self.server_address[1]}:{self.secret}"


class Visitor(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        wanted = self.server.secret.encode()
        self.request.settimeout(PATIENCE)
        with suppress(OSError):
            if hmac.compare_digest(_exactly(self.request, len(wanted)), wanted):
                self.request.settimeout(None)
                _join(self.request, socket.create_connection((HERE, self.server.behind)))


class Passage(socketserver.ThreadingTCPServer):
    """Listens on this machine, and passes everything on through a door on another."""

    daemon_threads = True

    def __init__(self, host: str, told: str):
        super().__init__((HERE, 0), Walker)
        port, self.secret = told.split(":")
        self.door = host, int(port)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return self.server_address[1]


class Walker(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with suppress(OSError):
            there = socket.create_connection(self.server.door)
            there.sendall(self.server.secret.encode())
            _join(self.request, there)


def come_through(host: str) -> int:
    """The port of this machine at which the store on another is reached."""
    return Passage(host, os.environ[SECRET]).port


def _exactly(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (more := connection.recv(size - len(found))):
        found += more
    return found


def _join(one: socket.socket, other: socket.socket) -> None:
    """Pass on what either says until both are silent."""
    for end in (one, other):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    back = threading.Thread(target=_pass, args=(other, one), daemon=True)
    back.start()
    _pass(one, other)
    back.join()
    other.close()


def _pass(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while piece := one.recv(PIECE):
            other.sendall(piece)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)
