"""The job files, run as programs with a srun, a mpirun and a scontrol that only note what they were asked. Needs no Slurm."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

JOBS = Path(__file__).parent.parent.parent / "jobs"
STOPPED = 75

SRUN = """#!/bin/bash
if [ "$1" = --mpi=list ]; then eval "$PLUGINS"; exit; fi
echo "$0 $* cpus=${SRUN_CPUS_PER_TASK-unset}" > launched
eval "${MEASURES-}"
if [ -n "$TELL" ]; then
  trap 'exit ${STOPPED:-75}' USR1
  until (( 0x$(awk '/^SigCgt/ { print $2 }' "/proc/$PPID/status") & 0x4000 )); do sleep 0.01; done # it is ready for signals
  kill "-$TELL" $PPID
  /bin/sleep 20 > /dev/null 2>&1 &
  wait
fi
exit "$CODE"
"""
SCONTROL = """#!/bin/bash
echo "$*" >> scontrol.calls
if [ "$(wc -l < scontrol.calls)" -le "${BUSY-0}" ]; then echo "slurm_load_jobs error: Socket timed out" >&2; exit 1; fi
if [ "$1" = show ]; then echo "JobId=7 JobName=x"; echo "   JobState=$STATE Dependency=(null)"; else exit "$REFUSES"; fi
"""


@pytest.fixture
def job(tmp_path):
    """Runs a job file as Slurm would."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in (("srun", SRUN), ("mpirun", SRUN), ("scontrol", SCONTROL), ("fedselect", "#!/bin/sh\n")):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    (tmp_path / "config.toml").write_text("")

    def run(script, *arguments, **settings):
        environment = {"PATH": f"{tools}:/usr/bin:/bin", "FEDSELECT_JOBS": str(JOBS), "SLURM_JOB_ID": "7", "CODE": "0", "TELL": "",
                       "STATE": "RUNNING Reason=None", "REFUSES": "0", "PLUGINS": "echo pmix"}
        script = Path(settings.get("FEDSELECT_JOBS", JOBS)) / script
        return subprocess.run(["bash", str(script), *arguments], cwd=tmp_path, env=environment | settings,
                              capture_output=True, text=True, timeout=30)
    return run


@pytest.fixture
def noted(tmp_path):
    """What a tool was called with, a call a line."""
    return lambda name: (tmp_path / name).read_text().splitlines() if (tmp_path / name).exists() else []


@pytest.mark.parametrize("plugins, launcher", [
    ("echo 'MPI plugin types are...'; echo '\tnone'; echo '\tpmix' >&2", "srun"),
    ("echo pmix; sleep 0.2; seq 100000", "srun"),     # nobody may stop listening before it has ended
    ("echo pmi2", "mpirun"),
    ("exit 1", "mpirun"),
])
def test_srun_where_slurm_has_pmix(job, noted, plugins, launcher):
    done = job("run.sbatch", "config.toml", PLUGINS=plugins)
    assert done.returncode == 0, done.stderr
    assert f"bin/{launcher} " in noted("launched")[0]


def test_cores_of_a_rank_are_for_srun_alone(job, noted):
    """mpirun starts its daemons by srun, each on all cores of its node."""
    for plugins, cores, seen in (("echo pmix", {}, "1"), ("echo pmix", {"SLURM_CPUS_PER_TASK": "4"}, "4"), ("", {}, "unset")):
        job("run.sbatch", "config.toml", PLUGINS=plugins, **cores)
        assert noted("launched")[0].endswith(f" cpus={seen}")


RESUMED = ("run", "array", "sweep", "scaling")    # warned before their time limit; then back into the queue, and on


@pytest.mark.parametrize("script", sorted(path.stem for path in JOBS.glob("*.sbatch")))
def test_what_slurm_is_told_by_each_file(script):
    text = (JOBS / f"{script}.sbatch").read_text()
    told = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", text, re.MULTILINE))
    assert text.count("#SBATCH") == len(told)
    expected = {"job-name": "fedselect" if script == "run" else f"fedselect-{script}", "open-mode": "append", "requeue": "",
                "output": "fedselect-%A_%a.log" if script == "array" else "fedselect-%j.log"}
    if script in RESUMED:
        expected |= {"signal": "B:USR1@120", "time": "01:00:00", "nodes": "1", "ntasks-per-node": "8"}
    else:
        expected |= {"time": "00:15:00", "ntasks": "1"}
    assert told == expected


CANCELLED, TIMED_OUT = "COMPLETING Reason=None", "COMPLETING Reason=TimeLimit"
PREEMPTED = "RUNNING Reason=None PreemptEligibleTime=2026-11-26T10:12:33 PreemptTime=2026-11-26T10:12:34"
ALONE = PREEMPTED.replace("PreemptTime=2026-11-26T10:12:34", "PreemptTime=None")


@pytest.mark.parametrize("settings, back", [
    (dict(CODE="75"), True),                                      # Slurm told the ranks alone: another job needs the nodes
    (dict(CODE="75", STATE=CANCELLED), False),
    (dict(CODE="75", STATE=TIMED_OUT), False),
    (dict(CODE="75", STATE="PENDING Reason=BeginTime"), False),   # Slurm was quicker
    (dict(CODE="205", STATE=PREEMPTED, PLUGINS=""), True),        # mpirun has lost its daemons
    (dict(CODE="205", STATE=PREEMPTED.replace("RUNNING", "COMPLETING"), PLUGINS=""), False),
    (dict(CODE="1", STATE=ALONE, PLUGINS=""), False),
    (dict(CODE="1", STATE=PREEMPTED), False),
    (dict(CODE="0"), False),
    (dict(TELL="USR1"), True),
    (dict(TELL="USR1", STATE=TIMED_OUT), True),                   # the checkpoint took longer than there was time
    (dict(TELL="USR1", STATE=CANCELLED), False),
    (dict(TELL="USR2"), False),
])
def test_who_goes_back_into_the_queue(job, noted, settings, back):
    done = job("run.sbatch", "config.toml", **settings)
    assert done.returncode == int(settings.get("CODE", STOPPED)), done.stderr
    assert ("requeue 7" in noted("scontrol.calls")) == back


KILLED, TERMINATED = "138", "143"     # a scaling study watches for no signal
MEASURED = "mkdir -p o/strong/points; echo x >> o/strong/points/4.h5"


@pytest.mark.parametrize("settings, back", [
    (dict(TELL="USR1", STOPPED=KILLED, MEASURES=MEASURED), True),
    (dict(TELL="USR1", STOPPED=KILLED, MEASURES=MEASURED.replace("points/4", "scaling"), STATE=TIMED_OUT), True),
    (dict(TELL="USR1", STOPPED="2", MEASURES=MEASURED), False),
    (dict(TELL="USR1", STOPPED=KILLED, MEASURES=MEASURED, STATE=CANCELLED), False),
    (dict(TELL="USR2", STOPPED=KILLED, MEASURES=MEASURED), False),
    (dict(CODE=TERMINATED, STATE=PREEMPTED), True),
    (dict(CODE=TERMINATED, STATE=CANCELLED), False),
    (dict(CODE="1"), False),
    (dict(CODE="0"), False),
])
def test_a_scaling_study_goes_back_too(job, noted, settings, back):
    for out in (["--out", "o"], ["--out=o"]):
        done = job("scaling.sbatch", "config.toml", *out, "--point", "4", **settings)
        code = settings.get("STOPPED", settings.get("CODE"))
        assert done.returncode == (STOPPED if code in (KILLED, TERMINATED) else int(code)), done.stderr
        assert noted("launched")[0].split(" cpus=")[0].endswith(f"/fedselect scaling config.toml {' '.join(out)} --point 4 --continue")
        assert ("requeue 7" in noted("scontrol.calls")) == back


def test_a_scaling_study_that_gets_nowhere_ends(job, noted, tmp_path):
    (tmp_path / "runs/weak").mkdir(parents=True)
    (tmp_path / "runs/weak/scaling.h5").write_text("of an earlier start")
    done = job("scaling.sbatch", "config.toml", TELL="USR1", STOPPED=KILLED)
    assert done.returncode == 2
    assert "not one repeat of all points was measured within the time limit" in done.stderr
    assert noted("scontrol.calls") == []


def test_of_an_array_the_task_alone_goes_back(job, noted, tmp_path):
    (tmp_path / "lines.txt").write_text("--set seed=1\n--set seed=2\n")
    job("array.sbatch", "config.toml", "lines.txt", CODE="75", SLURM_ARRAY_JOB_ID="7", SLURM_ARRAY_TASK_ID="2")
    assert noted("scontrol.calls") == ["show job 7_2", "requeue 7_2"]


def test_a_queue_that_refuses_changes_no_exit_code(job):
    done = job("run.sbatch", "config.toml", CODE="75", REFUSES="1")
    assert done.returncode == STOPPED
    assert "Slurm refuses to put job 7 back into the queue: submit it again" in done.stderr


@pytest.mark.parametrize("busy, back", [(2, True), (100, False)])
def test_a_queue_that_does_not_answer_is_asked_again(job, noted, tmp_path, busy, back):
    (tmp_path / "bin/sleep").write_text('#!/bin/sh\necho "$1" >> waits\n')
    (tmp_path / "bin/sleep").chmod(0o755)
    done = job("run.sbatch", "config.toml", CODE="75", BUSY=str(busy))
    assert done.returncode == STOPPED
    assert "Slurm doesn't say how job 7 stands: it is asked again" in done.stderr
    assert ("requeue 7" in noted("scontrol.calls")) == back
    assert ("unless job 7 failed, or is back in the queue, submit it again: it goes on" in done.stderr) != back
    assert 2 <= len(noted("waits")) == noted("scontrol.calls").count("show job 7") - (1 if back else 0) <= 60


def test_lines_of_an_array(job, noted, tmp_path):
    (tmp_path / "lines.txt").write_text("--set 'name=a b'  --set seed=2\n--set seed=5 --set model.hidden=7 'oops\n")
    done = job("array.sbatch", "config.toml", "lines.txt", SLURM_ARRAY_TASK_ID="1")
    assert done.returncode == 0, done.stderr
    assert "run config.toml --set name=a b --set seed=2 --name config-1 --continue" in noted("launched")[0]
    done = job("array.sbatch", "config.toml", "lines.txt", SLURM_ARRAY_TASK_ID="2")
    assert (done.returncode, done.stderr) == (
        2, "jobs: lines.txt, line 2 ends within quotes: close them, or write \\' or \\\" for the character\n")


@pytest.mark.parametrize("arguments, settings, launched", [
    ([], {}, "sweep config.toml --continue"),
    ([], {"SLURM_ARRAY_TASK_ID": "3", "SLURM_NTASKS": "2"}, "sweep config.toml --only 3 --ranks-per-trial 2 --continue"),
    (["--out", "o", "--tables"], {}, "sweep config.toml --out o --tables"),
])
def test_sweep_in_its_three_roles(job, noted, arguments, settings, launched):
    done = job("sweep.sbatch", "config.toml", *arguments, **settings)
    assert done.returncode == 0, done.stderr
    assert noted("launched")[0].split(" cpus=")[0].endswith(f"/fedselect {launched}")


def test_points_are_joined_where_nothing_can_draw_them(job, noted, tmp_path):
    jobs = tmp_path / "share" / "fedselect" / "jobs"
    shutil.copytree(JOBS, jobs)
    done = job("join.sbatch", "runs/strong", "config.toml", FEDSELECT_JOBS=str(jobs))
    assert done.returncode == 0, done.stderr
    assert noted("launched")[0].split(" cpus=")[0].endswith("scaling config.toml --join")
    assert "draw them by analysis/scaling" in done.stdout
