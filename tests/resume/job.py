"""Jobs of the built program that tests watch, signal and kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))
from program import MPIRUN, program  # noqa: E402


def family(root):
    """A process and all that descend from it."""
    children = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:  # it ended
            continue
        children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = [root]
    for process in found:
        found += children.get(process, [])
    return found


def kill_all(root):
    """SIGKILL to a whole job; the launcher last, so that it starts nothing in between."""
    for process in reversed(family(root)):
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            pass


def start(arguments, ranks):
    command = [str(MPIRUN), str(ranks), program(), *map(str, arguments), "--quiet"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ranks_of(job):
    """The processes of a job that run the program."""
    names = {}
    for process in family(job.pid):
        try:
            names[process] = Path(f"/proc/{process}/cmdline").read_text().split("\0")[0]
        except OSError:
            continue
    return [process for process, name in names.items() if name == program()]


def wait_until(condition, job):
    """Polls until the condition holds, the job ended, or a minute is over; what the condition was."""
    until = time.monotonic() + 60
    while not (found := condition()) and job.poll() is None and time.monotonic() < until:
        time.sleep(0.001)
    return found
