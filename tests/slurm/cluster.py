"""A real Slurm cluster on this machine's loopback, from Debian's packages, without systemd.

    python tests/slurm/cluster.py start DIR [--accounting]   prints what a shell of its login node sets
    python tests/slurm/cluster.py stop DIR
    python tests/slurm/cluster.py watch DIR PID              waits for the process to end, then stops the cluster

Two nodes, node1 and node2, each with 4 CPUs and 16 GB (declared, not real) and 2 GPUs (copies of /dev/null), in the
partition ``main`` and in ``urgent``, whose jobs preempt those of ``main``. Every node is a pid, mount and uts
namespace of its own: host names differ, and killing the first process of a node is a power cut. It needs root and
the packages of install.sh. ``Cluster`` is what the tests use.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

NODES = {"node1": "small", "node2": "large"}  # name: type of its GPUs
PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "sbatch", "unshare", "nsenter", "setpriv")
ACCOUNTING = ("slurmdbd", "mariadbd", "mariadb-install-db", "sacctmgr")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

SLURM_CONF = """
ClusterName=mtlbench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=slurm
AuthType=auth/munge
# The default life of credentials makes a requeued job wait for two minutes.
AuthInfo=socket={folder}/munge/socket,cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SlurmdTimeout=6
KillWait=10
MinJobAge=300
JobRequeue=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n/spool
SlurmctldPidFile={folder}/state/slurmctld.pid
SlurmdPidFile={folder}/%n/slurmd.pid
SlurmctldLogFile={folder}/state/slurmctld.log
SlurmdLogFile={folder}/%n/slurmd.log
GresTypes=gpu
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=INFINITE PriorityTier=2
{accounting}
"""
NODE = "NodeName={name} NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=16000 Gres=gpu:{gpu}:2"
GRES = "NodeName={name} Name=gpu Type={gpu} File={folder}/dev/nvidia[0-1]"
WITH_DATABASE = """
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge/socket
AccountingStorageEnforce=associations
JobAcctGatherType=jobacct_gather/linux
"""
SLURMDBD_CONF = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost=localhost
DbdPort={port}
SlurmUser=slurm
StorageType=accounting_storage/mysql
StorageUser=slurm
LogFile={folder}/database/slurmdbd.log
PidFile={folder}/database/slurmdbd.pid
"""

#: The daemons that this very process started.
_STARTED: dict[int, subprocess.Popen] = {}


class ClusterError(RuntimeError):
    """The cluster did not do what was asked of it."""


def why_not(accounting: bool = False) -> str | None:
    """Why no cluster can be started here; None when it can."""
    missing = [name for name in PROGRAMS + (ACCOUNTING if accounting else ()) if shutil.which(name, path=PATH) is None]
    if missing:
        return f"no {', '.join(missing)}: run tests/slurm/install.sh{' accounting' if accounting else ''} as root"
    if os.geteuid() != 0:
        return "starting a cluster needs root"
    if subprocess.run(["unshare", "--pid", "--fork", "--mount", "--uts", "true"], capture_output=True).returncode:
        return "this machine allows no namespaces (unshare)"
    return None


@dataclass(frozen=True)
class Cluster:
    """A running cluster; all its files lie in ``folder``."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a shell of the login node sets."""
        return {"SLURM_CONF": str(self.folder / "etc/slurm.conf")}

    def run(self, *command: str, check: bool = True) -> str:
        """The output of a Slurm command on the login node."""
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False, timeout=60
        )
        if check and done.returncode:
            raise ClusterError(f"{' '.join(command)} gave {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """The jobs that wait or run."""
        names = ("id", "state", "node", "name", "folder")
        lines = self.run("squeue", "--noheader", "--format=%i|%T|%N|%j|%Z").splitlines()
        return [dict(zip(names, line.split("|", 4), strict=True)) for line in lines]

    def node_state(self, node: str) -> str:
        """The state of a node: idle, mixed, allocated, down*, ..."""
        return self.run("sinfo", "--noheader", "--nodes", node, "--format=%T").split()[0]

    def account(self, node: str) -> str:
        """What Slurm says of a node, and the ends of the logs, for the message of a failure."""
        logs = (f"run/{node}.log", f"run/{node}.slurmd.log", f"{node}/slurmd.log", "state/slurmctld.log")
        ends = {name: path.read_text()[-3000:] for name in logs if (path := self.folder / name).exists()}
        said = self.run("scontrol", "show", "node", node, check=False)
        return said + "".join(f"\n=== {name}\n{end}" for name, end in ends.items())

    def start_node(self, node: str) -> None:
        """Switch a node on and wait until it takes jobs."""
        (self.folder / node).mkdir(exist_ok=True)
        script = 'hostname "$1" && mount --bind "$2/etc" /etc/slurm && { sleep infinity & wait; }'
        self._daemon(
            node, "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--mount", "--uts",
            "--propagation", "private", "bash", "-c", script, "bash", node, str(self.folder),
        )  # fmt: skip
        wait_for(lambda: self._inside(node, "mountpoint", "-q", "/etc/slurm") == 0, 60, f"the namespaces of {node}")
        self.start_slurmd(node)

        def takes_jobs() -> bool:
            if self._ended(f"{node}.slurmd"):  # what systemd would do on a real node
                time.sleep(1)
                self._kill(f"{node}.slurmd")
                self.start_slurmd(node)
            return self.node_state(node) in ("idle", "mixed", "allocated")

        wait_for(takes_jobs, 90, lambda: f"{node} takes jobs\n{self.account(node)}")

    def start_slurmd(self, node: str) -> None:
        """Start the daemon of a node that is on."""
        self._daemon(f"{node}.slurmd", *self._enter(node), "slurmd", "-D", "-N", node)

    def power_cut(self, node: str) -> None:
        """Everything on the node ends at once."""
        self._kill(node)
        self._kill(f"{node}.slurmd")

    def kill_slurmd(self, node: str) -> None:
        """The node's daemon dies; its jobs go on."""
        slurmd = _children(int((self.folder / f"run/{node}.slurmd.pid").read_text()))[0]
        os.kill(slurmd, signal.SIGKILL)
        self._kill(f"{node}.slurmd")

    def stop(self) -> None:
        """End every process of the cluster; its files stay."""
        for path in sorted((self.folder / "run").glob("*.pid")):
            if int(path.read_text()) != os.getpid():
                self._kill(path.name.removesuffix(".pid"))

    def _enter(self, node: str) -> list[str]:
        first = _children(int((self.folder / f"run/{node}.pid").read_text()))[0]
        return ["nsenter", "--target", str(first), "--pid", "--mount", "--uts"]

    def _inside(self, node: str, *command: str) -> int:
        try:
            return subprocess.run([*self._enter(node), *command], capture_output=True, check=False).returncode
        except IndexError:
            return 1

    def _daemon(self, name: str, *command: str, user: str | None = None, **environment: str) -> None:
        """Start a process that outlives this one; its number is in run/<name>.pid, its output in run/<name>.log."""
        if user is not None:
            command = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command)
        with open(self.folder / f"run/{name}.log", "ab") as log:
            process = subprocess.Popen(
                command,
                env={**os.environ, **self.environment, "PATH": PATH, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (self.folder / f"run/{name}.pid").write_text(str(process.pid))
        _STARTED[process.pid] = process

    def _ended(self, name: str) -> bool:
        """Whether a daemon that this process started has ended by itself."""
        process = _STARTED.get(int((self.folder / f"run/{name}.pid").read_text()))
        return process is not None and process.poll() is not None

    def _kill(self, name: str) -> None:
        path = self.folder / f"run/{name}.pid"
        pid = int(path.read_text())
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        if pid in _STARTED:
            _STARTED.pop(pid).wait()
        path.unlink()


def start(folder: Path, accounting: bool = False, owner: int | None = None) -> Cluster:
    """Start a cluster whose files lie in ``folder`` (new); raises ClusterError.

    It ends with the process ``owner``, however that one ends.
    """
    reason = why_not(accounting)
    if reason is not None:
        raise ClusterError(reason)
    folder = folder.resolve()
    for name in ("etc", "run", "state", "munge", "dev", *(["database"] if accounting else [])):
        (folder / name).mkdir(parents=True)
    for path in (folder, folder.parent):
        os.chmod(path, os.stat(path).st_mode | 0o755)
    cluster = Cluster(folder)
    try:
        if owner is not None:
            cluster._daemon("watch", sys.executable, __file__, "watch", str(folder), str(owner))
        _write_configuration(folder, accounting)
        _start_munge(cluster)
        if accounting:
            _start_database(cluster)
        shutil.chown(folder / "state", "slurm", "slurm")
        cluster._daemon("slurmctld", "slurmctld", "-D", user="slurm")
        wait_for(lambda: "UP" in cluster.run("scontrol", "ping", check=False), 60, "slurmctld answers")
        for node in NODES:
            cluster.start_node(node)
    except BaseException:
        cluster.stop()
        raise
    return cluster


def wait_for(condition: Callable[[], object], seconds: float, what: str | Callable[[], str]) -> None:
    """Poll until the condition holds; raises ClusterError after ``seconds``, which says ``what`` was waited for."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise ClusterError(f"waited {seconds:.0f} s in vain: {what if isinstance(what, str) else what()}")
        time.sleep(0.1)


def _write_configuration(folder: Path, accounting: bool) -> None:
    ports = _free_ports(len(NODES) + 2)
    database = WITH_DATABASE.format(folder=folder, port=ports[1]) if accounting else ""
    nodes = [NODE.format(name=n, port=p, gpu=g) for (n, g), p in zip(NODES.items(), ports[2:], strict=True)]
    text = SLURM_CONF.format(
        host=socket.gethostname(), port=ports[0], folder=folder, nodes="\n".join(nodes), accounting=database
    )
    (folder / "etc/slurm.conf").write_text(text)
    gres = [GRES.format(name=name, gpu=gpu, folder=folder) for name, gpu in NODES.items()]
    (folder / "etc/gres.conf").write_text("\n".join(["AutoDetect=off", *gres]) + "\n")
    for number in range(2):
        os.mknod(folder / f"dev/nvidia{number}", 0o20666, os.makedev(1, 3))
    if accounting:
        (folder / "etc/slurmdbd.conf").write_text(SLURMDBD_CONF.format(folder=folder, port=ports[1]))
        os.chmod(folder / "etc/slurmdbd.conf", 0o600)
        shutil.chown(folder / "etc/slurmdbd.conf", "slurm", "slurm")


def _start_munge(cluster: Cluster) -> None:
    folder = cluster.folder / "munge"
    (folder / "key").write_bytes(os.urandom(128))
    os.chmod(folder / "key", 0o400)
    for path in (folder, folder / "key"):
        shutil.chown(path, "munge", "munge")
    options = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    arguments = [f"--{option}={folder / name}" for option, name in options.items()]
    cluster._daemon("munged", "munged", "--foreground", *arguments, user="munge")
    wait_for((folder / "socket").exists, 60, "munged opens its socket")


def _start_database(cluster: Cluster) -> None:
    folder = cluster.folder / "database"
    sql = folder / "socket"
    shutil.chown(folder, "slurm", "slurm")
    subprocess.run(
        ["setpriv", "--reuid=slurm", "--regid=slurm", "--clear-groups", "mariadb-install-db", "--no-defaults",
         f"--datadir={folder}/data", "--auth-root-authentication-method=normal", "--skip-test-db"],
        check=True, capture_output=True, cwd=folder, env={**os.environ, "PATH": PATH},
    )  # fmt: skip
    cluster._daemon(
        "mariadbd", "mariadbd", "--no-defaults", f"--datadir={folder}/data", f"--socket={sql}", "--skip-networking",
        "--skip-grant-tables", f"--pid-file={folder}/mariadbd.pid", user="slurm",
    )  # fmt: skip
    wait_for(sql.exists, 60, "mariadbd opens its socket")
    cluster._daemon("slurmdbd", "slurmdbd", "-D", user="slurm", MYSQL_UNIX_PORT=str(sql))
    wait_for(lambda: "mtlbench" in _add_cluster(cluster), 60, "slurmdbd answers")
    cluster.run("sacctmgr", "-i", "add", "account", "lab", "Description=lab", "Organization=lab")
    cluster.run("sacctmgr", "-i", "add", "user", "root", "Account=lab")


def _add_cluster(cluster: Cluster) -> str:
    cluster.run("sacctmgr", "-i", "add", "cluster", "mtlbench", check=False)
    return cluster.run("sacctmgr", "--noheader", "show", "cluster", "format=cluster", check=False)


def _free_ports(count: int) -> list[int]:
    """Ports below those that the kernel gives to connections.

    Otherwise a connection, or what is left of one for a minute, may hold the port of a node that is off for a while,
    whose daemon then cannot start again.
    """
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found: list[int] = []
    ports = list(range(min(10000, first // 2), first))
    random.SystemRandom().shuffle(ports)
    for port in ports:
        with contextlib.suppress(OSError), socket.socket() as one:
            one.bind(("0.0.0.0", port))
            found.append(port)
        if len(found) == count:
            return found
    raise ClusterError(f"no {count} free ports below {first}")


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def main() -> None:
    """Start or stop a cluster from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["start", "stop", "watch"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("pid", type=int, nargs="?", help="watch: the process whose end stops the cluster")
    parser.add_argument("--accounting", action="store_true", help="with slurmdbd and an account 'lab'")
    arguments = parser.parse_args()
    try:
        while arguments.action == "watch" and Path(f"/proc/{arguments.pid}").exists():
            time.sleep(1)
        if arguments.action != "start":
            Cluster(arguments.folder.resolve()).stop()
            return
        for name, value in start(arguments.folder, arguments.accounting).environment.items():
            print(f"export {name}={value}")
    except ClusterError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
