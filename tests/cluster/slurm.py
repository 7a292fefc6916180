"""A real SLURM in a folder: the distribution's daemons, three pretended nodes, four pretended GPUs.

A node is a slurmd with a name and, where that is allowed, a host name of its own; a GPU is a file like
/dev/null. All daemons run as the present user, and end with the block. By hand:

    python tests/cluster/slurm.py FOLDER [--accounting] -- bash
"""

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from waiting import until

DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch")
ACCOUNTING = ("slurmdbd", "mariadbd", "mariadb-install-db")
CLIENTS = ("sacct", "sacctmgr", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun", "sshare")
NODES = ("cpu1", "gpu1", "gpu2")
GPUS = 2  # on each GPU node

SETTINGS = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={slurmctld}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
MailProg={folder}/bin/mail
KillWait=10
MinJobAge=3600
ReturnToService=2
NodeName=cpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port={cpu1} CPUs=16 RealMemory=200000
NodeName=gpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port={gpu1} CPUs=8 RealMemory=200000 Gres=gpu:{gpus}
NodeName=gpu2 NodeHostname={host} NodeAddr=127.0.0.1 Port={gpu2} CPUs=8 RealMemory=200000 Gres=gpu:{gpus}
PartitionName=cpu Nodes=cpu1 Default=YES MaxTime=24:00:00
PartitionName=gpu Nodes=gpu1,gpu2 MaxTime=24:00:00
"""
ACCOUNTED = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={slurmdbd}
AccountingStoragePass={folder}/munge.socket
"""
DATABASE = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdPort={slurmdbd}
SlurmUser={user}
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageLoc=slurm
StorageUser={user}
"""


def missing(accounting: bool = False) -> list[str]:
    """The programs that are not installed here."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    return [name for name in DAEMONS + ACCOUNTING * accounting if not shutil.which(name, path=path)]


class Cluster:
    """A SLURM under way; `environment` is what a shell on its login node has."""

    def __init__(self, folder: Path, accounting: bool):
        self.folder, self.accounting = folder.resolve(), accounting
        self.processes: list[subprocess.Popen] = []
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}:/usr/sbin:/sbin"
        self.environment = os.environ | {"PATH": path, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def command(self, *command: str) -> str:
        """What a client of SLURM says."""
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True).stdout

    @property
    def clients(self) -> dict[str, str]:
        """What a process wants in its environment to be this cluster's."""
        return {name: self.environment[name] for name in ("PATH", "SLURM_CONF")}

    def jobs(self, *options: str, columns: str = "%i") -> list[list[str]]:
        """What squeue says of each job that waits or runs."""
        lines = self.command("squeue", "--noheader", f"--format={columns.replace(' ', '|')}", *options).splitlines()
        return [line.split("|") for line in lines]

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._configure()
        self._daemon("munged", "--foreground", "--force", *self._munge())
        until(lambda: (self.folder / "munge.socket").exists(), "munged")
        if self.accounting:
            self._start_accounting()
        self._daemon("slurmctld", "-D")
        for node in NODES:
            self._daemon(*self._as_host(node), "slurmd", "-D", "-N", node, log=f"{node}.out")
        ready = ["idle"] * len(NODES)
        until(lambda: self.command("sinfo", "--noheader", "-N", "--format=%T").split() == ready, "the nodes")

    def stop(self) -> None:
        with suppress(subprocess.CalledProcessError):
            self.cancel()
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def cancel(self) -> None:
        """End every job."""
        self.command("scancel", "--user", getpass.getuser())
        until(lambda: not self.jobs(), "the jobs' end")

    def _configure(self) -> None:
        names = ("slurmctld", "slurmdbd", *NODES)
        values = {"folder": self.folder, "user": getpass.getuser(), "host": socket.gethostname(), "gpus": GPUS}
        values |= dict(zip(names, free_ports(len(names)), strict=True))
        for name in ("state", "devices", "bin"):
            (self.folder / name).mkdir(exist_ok=True)
        settings = SETTINGS + ACCOUNTED * self.accounting
        (self.folder / "slurm.conf").write_text(settings.format(**values))
        database = self.folder / "slurmdbd.conf"
        database.touch(0o600)
        database.write_text(DATABASE.format(**values))
        devices = [self.folder / "devices" / f"{node}-{index}" for node in NODES[1:] for index in range(GPUS)]
        for device in devices:
            device.symlink_to("/dev/null")
        lines = [f"NodeName={device.name.split('-')[0]} Name=gpu File={device}\n" for device in devices]
        (self.folder / "gres.conf").write_text("".join(lines))
        # Snakemake's job step drops SLURM_CONF, which no real cluster needs.
        for client in CLIENTS:
            program = self.folder / "bin" / client
            program.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {shutil.which(client)} "$@"\n')
            program.chmod(0o755)
        mail = self.folder / "bin/mail"
        mail.write_text(f'#!/bin/sh\necho "$*" >>{self.folder}/mails\n')
        mail.chmod(0o755)

    def _munge(self) -> list[str]:
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(1024))
        files = {"key-file": key, "socket": self.folder / "munge.socket"}
        files |= {f"{kind}-file": self.folder / f"munge.{kind}" for kind in ("pid", "log", "seed")}
        return [f"--{name}={file}" for name, file in files.items()]

    def _start_accounting(self) -> None:
        data, server = self.folder / "mariadb", self.folder / "mariadb.socket"
        user = getpass.getuser()
        create = ["mariadb-install-db", f"--datadir={data}", f"--user={user}", "--skip-test-db"]
        subprocess.run(create, env=self.environment, capture_output=True, check=True)
        options = [f"--datadir={data}", f"--user={user}", f"--socket={server}", "--skip-networking"]
        self._daemon("mariadbd", "--no-defaults", *options)
        until(server.exists, "mariadbd")
        self.environment["MYSQL_UNIX_PORT"] = str(server)
        self._daemon("slurmdbd", "-D", SLURM_CONF=str(self.folder / "slurmdbd.conf"))
        registered = ["sacctmgr", "-i", "add", "cluster", "test"]
        until(lambda: subprocess.run(registered, env=self.environment, capture_output=True).returncode == 0, "slurmdbd")

    def _as_host(self, node: str) -> list[str]:
        """The beginning of a command that runs under a host name of its own."""
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', node]
        allowed = subprocess.run([*named, "true"], capture_output=True).returncode == 0
        return named if allowed else []

    def _daemon(self, *command: str, log: str = "", **environment: str) -> None:
        with open(self.folder / (log or f"{command[0]}.out"), "w") as output:
            process = subprocess.Popen(
                command, env=self.environment | environment, stdout=output, stderr=output, start_new_session=True
            )
        self.processes.append(process)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def raised(folder: Path, accounting: bool = False) -> Iterator[Cluster]:
    cluster = Cluster(folder, accounting)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


if __name__ == "__main__":
    options, command = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
    with raised(Path(options[0]), "--accounting" in options) as cluster:
        sys.exit(subprocess.run(shlex.join(command), shell=True, env=cluster.environment).returncode)
