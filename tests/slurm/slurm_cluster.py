"""A real Slurm on this machine, for as long as a test session lasts: munge, the controller, and several node daemons,
each in namespaces of its own, so that programs see several hosts. Everything lies in one folder; nothing of an installed
Slurm is touched. Needs root (for the namespaces) and Debian's slurmctld, slurmd, slurm-client, munge, util-linux."""

import ctypes
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("munge", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun", "unshare")
COMMAND_SECONDS = 30    # of any Slurm command
FINISHED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY")

SLURM_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={base}/munge/socket,cred_expire=5
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort={controller_port}
StateSaveLocation={base}/state
SlurmdSpoolDir={base}/spool/%n
SlurmctldPidFile={base}/slurmctld.pid
SlurmdPidFile={base}/%n.pid
SlurmctldLogFile={base}/log/slurmctld
SlurmdLogFile={base}/log/%n
TmpFS={base}/tmp/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=3,bf_interval=3
ReturnToService=1
JobRequeue=1
KillWait=10
MpiDefault=none
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP GraceTime=60
PartitionName=urgent Nodes=ALL PriorityTier=2 State=UP
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cores} State=UNKNOWN"
CGROUP_CONF = "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nConstrainCores=no\nConstrainRAMSpace=no\n"


def search_path():
    return os.environ["PATH"] + ":/usr/local/sbin:/usr/sbin:/sbin"


def why_not():
    """Why no Slurm can be started here; empty: it can."""
    absent = [name for name in (*DAEMONS, *CLIENTS) if shutil.which(name, path=search_path()) is None]
    if absent:
        return f"no {', '.join(absent)} (Debian: apt install slurmctld slurmd slurm-client munge)"
    if os.geteuid() != 0:
        return "only root can give each node a host name of its own"
    attempt = subprocess.run(["unshare", "--uts", "--mount", "true"], capture_output=True, text=True, timeout=10)
    return f"namespaces are not permitted here: {attempt.stderr.strip()}" if attempt.returncode else ""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def end_with_parent():
    """Runs in a daemon before it is executed: it gets SIGTERM when this process dies, however that happens."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def wait_until(condition, seconds, what):
    """Polls until the condition holds; returns what it was."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, f"{what}: not within {seconds} s"
        time.sleep(0.1)
    return found


class Cluster:
    """`with Cluster() as cluster`: up on entry, down and gone on exit."""

    def __init__(self, nodes=4, cores=4):
        self.base = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.names = [f"n{i + 1}" for i in range(nodes)]
        self.daemons = []
        host = socket.gethostname().split(".")[0]
        controller_port, *ports = free_ports(nodes + 1)
        for folder in ("munge", "state", "log"):
            (self.base / folder).mkdir()
        for name in self.names:
            (self.base / "spool" / name).mkdir(parents=True)
            (self.base / "tmp" / name).mkdir(parents=True)   # or nodes of one host collide
        (self.base / "hosts").write_text("".join(f"127.0.0.1 {name}\n" for name in ("localhost", host, *self.names)))
        lines = [NODE.format(name=n, host=host, port=p, cores=cores) for n, p in zip(self.names, ports)]
        (self.base / "slurm.conf").write_text(
            SLURM_CONF.format(host=host, base=self.base, controller_port=controller_port, nodes="\n".join(lines)))
        (self.base / "cgroup.conf").write_text(CGROUP_CONF)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "SBATCH"))} | {
            "PATH": search_path(),
            "SLURM_CONF": str(self.base / "slurm.conf"),
            "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OMPI_MCA_rmaps_base_oversubscribe": "1",
            "OMPI_MCA_hwloc_base_binding_policy": "none",    # all nodes are the same cores
            "OMPI_MCA_mpi_yield_when_idle": "1",
            "OMPI_MCA_btl_tcp_if_include": "lo",
            "OMPI_MCA_oob_tcp_if_include": "lo",
        }

    def __enter__(self):
        try:
            self.start_munge()
            self.start("slurmctld", ["slurmctld", "-D"])
            for name in self.names:
                self.start_node(name)
            wait_until(lambda: self.states() == {"idle"}, 30, "nodes are idle")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name, process in reversed(self.daemons):
            if name == "slurmctld" and process.poll() is None:
                self.command("scancel", "--user=root", check=False)
                wait_until(lambda: not self.command("squeue", "--noheader", check=False), 30, "jobs are gone")
        for _, process in reversed(self.daemons):
            process.terminate()
        for _, process in reversed(self.daemons):
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for process in self.processes():    # of jobs that outlived the daemons
            os.kill(process, signal.SIGKILL)
        shutil.rmtree(self.base, ignore_errors=True)

    def start(self, name, command):
        with open(self.base / "log" / f"{name}.out", "w") as log:
            self.daemons.append((name, subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment, cwd=self.base,
                preexec_fn=end_with_parent)))

    def start_munge(self):
        key, files = self.base / "munge.key", self.base / "munge"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        self.start("munged", [
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={files}/socket",
            f"--pid-file={files}/pid", f"--log-file={files}/log", f"--seed-file={files}/seed", "--num-threads=2"])
        wait_until((files / "socket").exists, 15, "munge listens")

    def start_node(self, name):
        """The node daemon under a host name of its own that resolves: else srun waits for ever."""
        script = 'hostname "$1" && mount --bind "$2/hosts" /etc/hosts && exec slurmd -D -N "$1"'
        self.start(name, ["unshare", "--uts", "--mount", "bash", "-c", script, "slurmd", name, str(self.base)])

    def processes(self, setting=""):
        """All of this Slurm, by their environment; or those that have a setting, too."""
        marks, found = {f"SLURM_CONF={self.base}/slurm.conf".encode(), setting.encode()} - {b""}, []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if marks <= set(path.read_bytes().split(b"\0")):
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found

    def command(self, *arguments, check=True, **more):
        """The output of a Slurm command."""
        done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, timeout=COMMAND_SECONDS,
                              env=self.environment, **more)
        assert not check or done.returncode == 0, f"{arguments}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def states(self):
        """What the nodes are, without their marks (idle* = not seen yet)."""
        return set(self.command("sinfo", "--noheader", "--Node", "--format=%t", check=False).split())

    def show(self, job):
        """What scontrol says of a job, as a dictionary."""
        return dict(re.findall(r"(\w+)=(\S*)", self.command("scontrol", "show", "job", job)))

    def wait_for(self, job, seconds=120):
        """Waits until the job has ended for good; what scontrol then says of it."""
        def ended():
            shown = self.show(job)
            return shown if shown["JobState"] in FINISHED else None
        return wait_until(ended, seconds, f"job {job} ends")
