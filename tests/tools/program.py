"""The built program, for tests in Python: ctest names it in FEDSELECT_PROGRAM."""

import os
import subprocess
from pathlib import Path

MPIRUN = Path(__file__).parent.parent / "mpirun.sh"
# The preset asan asks for more: sanitizers take their time.
TIMEOUT_SECONDS = 100 * float(os.environ.get("FEDSELECT_PATIENCE", 1))
# Without mpirun, Open MPI need neither start a daemon nor look for networks, which takes longer than most of what is
# asked here.
ALONE = {"OMPI_MCA_ess_singleton_isolated": "1", "OMPI_MCA_pml": "ob1", "OMPI_MCA_btl": "self"}
# For tests of memory: what a sanitizer keeps of what was freed is none of the program's.
FREES = {"ASAN_OPTIONS": f"{os.environ.get('ASAN_OPTIONS', '')}:quarantine_size_mb=1"}


def program():
    return os.environ["FEDSELECT_PROGRAM"]


def run(*arguments, ranks=1, check=True, seconds=TIMEOUT_SECONDS):
    """Runs the program on so many ranks and returns what subprocess.run does."""
    command = [str(MPIRUN), str(ranks), program(), *map(str, arguments)]
    return finish(command, check, seconds)


def ask(*arguments):
    """What the program, alone, prints."""
    return finish([program(), *map(str, arguments)], True).stdout


def finish(command, check, seconds=TIMEOUT_SECONDS):
    environment = os.environ | (ALONE if command[0] == program() else {})
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment)
    assert not check or done.returncode == 0, (
        f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    )
    return done


def method_names():
    """All methods that the program knows."""
    listed = ask("methods").split("\n\n")[0]
    return [line.split()[0] for line in listed.splitlines() if line and not line.startswith(" ")]
