"""The job files in a real Slurm: runs, arrays, chains and series finish with the right bits, and what ends a job early
(a time limit, a node that fails, the user) costs no result. ctest sets FEDSELECT_PROGRAM."""

import csv
import json
import os
import re
import signal
from pathlib import Path

import h5py
import pytest
from conftest import CHECKPOINT_ROUNDS, SLOW
from experiment import differences
from program import program, run
from slurm_cluster import wait_until

JOBS = Path(__file__).parent.parent.parent / "jobs"
STOPPED = "75:0"     # exit code of a run that a signal stopped in order, as Slurm shows it


class Desk:
    """A folder from which jobs are submitted."""

    def __init__(self, cluster, folder, config):
        self.cluster, self.folder, self.config = cluster, folder, config
        self.home = folder / "runs" / "resume"

    def submit(self, kind, *arguments):
        """The numbers of the jobs of one jobs/submit."""
        said = self.cluster.command(JOBS / "submit", kind, self.config, *arguments, cwd=self.folder)
        return re.findall(r"^job (\d+): ", said, re.MULTILINE)

    def sbatch(self, *arguments):
        """As by hand, from a folder that holds no jobs/."""
        return self.cluster.command("sbatch", "--parsable", f"--export=ALL,FEDSELECT_JOBS={JOBS}", *arguments,
                                    cwd=self.folder).strip()

    def log(self, job):
        return (self.folder / f"fedselect-{job}.log").read_text()

    def done(self, job, state="COMPLETED", seconds=120):
        """Waits for a job, which has to end like that; what scontrol shows."""
        shown = self.cluster.wait_for(job, seconds)
        assert shown["JobState"] == state, f"{shown}\n{self.log(job)}"
        return shown

    def rounds(self):
        """Rounds of the run so far."""
        metrics = self.home / "metrics.csv"
        return max(0, metrics.read_text().count("\n") - 1) if metrics.exists() else 0

    def resumed(self):
        """After how many rounds each start but the first went on: from a checkpoint, not from the beginning."""
        starts = [start["after_rounds"] for start in json.loads((self.home / "manifest.json").read_text()).get("resumed", [])]
        assert all(rounds >= CHECKPOINT_ROUNDS for rounds in starts), starts
        return starts

    def under_way(self, rounds):
        wait_until(lambda: self.rounds() >= rounds, 60, f"{rounds} rounds")

    def signal_ranks(self, job, number):
        ranks = [process for process in self.cluster.processes(f"SLURM_JOB_ID={job}")
                 if Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[0] == program().encode()]
        assert len(ranks) == 2
        for process in ranks:
            os.kill(process, number)

    def hosts(self, name="resume"):
        """The ranks of a run by host."""
        hosts = json.loads((self.folder / "runs" / name / "manifest.json").read_text())["hosts"]
        return {host["name"]: host["ranks"] for host in hosts}


@pytest.fixture
def desk(cluster, experiments, tmp_path):
    return Desk(cluster, tmp_path, experiments.config)


@pytest.fixture(params=["srun", "mpirun"])
def launcher(request):
    return request.param


@pytest.fixture
def machine(desk, launcher):
    """A machine file of the user's own, for one rank a node."""
    path = desk.folder / "mine.sh"
    path.write_text(f"launcher={launcher}\nsrun_options=--mpi=pmix\nranks_per_node=1\nscratch=$PWD\n")
    return path


def test_a_run_on_two_nodes(desk, experiments, launcher, machine):
    [job] = desk.submit("run", "--nodes", 2, "--machine", machine)
    desk.done(job)
    assert f": {launcher} " in desk.log(job)
    assert f"--continue --scratch {desk.folder}\n" in desk.log(job)
    assert differences(experiments.result(), desk.home) == []
    assert desk.hosts() == {"n1": [0], "n2": [1]}


def test_array_of_the_lines_of_a_file(desk, experiments):
    lines = ["--set seed=1", "--set seed=3", "--set 'seed=4'  --name third"]
    (desk.folder / "lines.txt").write_text("\n".join(lines) + "\n")
    [job] = desk.submit("array", "lines.txt", "--ranks-per-node", 1)
    for number, (seed, name) in enumerate(zip((1, 3, 4), ["config-1", "config-2", "third"]), 1):
        assert desk.done(f"{job}_{number}")["ExitCode"] == "0:0"
        expected = experiments.result("--set", f"seed={seed}", name=name)
        assert differences(expected, desk.folder / "runs" / name) == []


@pytest.fixture
def sweep(desk, experiments, tmp_path_factory):
    """Submits a sweep of two seeds and two learning rates; the table of the same sweep without Slurm."""
    path = desk.folder / "sweep.toml"
    path.write_text(f'name = "sweep"\nexperiment = "{desk.config}"\nseeds = [1, 2]\n[[parameter]]\nkey = "train.lr"\n'
                    "values = [0.01, 0.1]\n")
    desk.config = path
    out = tmp_path_factory.mktemp("sweep")
    run("sweep", path, "--out", out, "--quiet")
    return table(out / "sweep")


def table(folder):
    """sweep.csv without the seconds."""
    with open(folder / "sweep.csv", newline="") as file:
        return [{**row, "seconds": None} for row in csv.DictReader(file)]


def test_sweep_in_one_job(desk, sweep):
    [job] = desk.submit("sweep", "--nodes", 2, "--ranks-per-node", 2, "--ranks-per-trial", 2)
    desk.done(job)
    assert table(desk.folder / "runs/sweep") == sweep


def test_sweep_as_an_array(desk, sweep):
    trials = len(sweep)
    array, tables = desk.submit("sweep", "--trials", trials, "--ranks-per-node", 1)
    for number in range(1, trials + 1):
        desk.done(f"{array}_{number}")
        assert "1 trials, 1 workers" in desk.log(f"{array}_{number}")
    desk.done(tables)       # it runs nothing
    assert table(desk.folder / "runs/sweep") == sweep


def test_sweep_as_an_array_that_is_cancelled(desk, experiments, sweep):
    """The job that makes the tables says what is missing, and doesn't run it alone."""
    array, tables = desk.submit("sweep", "--trials", len(sweep), "--ranks-per-node", 1, "--", *experiments.lasting(30))
    wait_until(lambda: list(desk.folder.glob("runs/sweep/journal/*.jsonl")), 60, "a first trial")
    desk.cluster.command("scancel", array)
    assert desk.done(tables, "FAILED")["ExitCode"] == "1:0"
    assert f"{len(sweep)} of {len(sweep)} trials are missing" in desk.log(tables)
    assert {row["status"] for row in table(desk.folder / "runs/sweep")} == {"waiting"}


@pytest.fixture
def study(desk):
    """Submits a weak scaling study of two clients a rank; what is in its folder."""
    path = desk.folder / "weak.toml"
    path.write_text(f'name = "weak"\nconfig = "{desk.config}"\nkind = "weak"\nclients_per_rank = 2\nvalues = [1, 4]\n'
                    "rounds = 2\nwarmup = 1\nrepeats = 2\n")
    desk.config = path
    return desk.folder / "runs" / "weak"


def check_study(folder):
    with h5py.File(folder / "scaling.h5") as file:
        assert file["points/ranks"][:].tolist() == [1, 4]
        assert file["points/clients"][:].tolist() == [2, 8]
        assert file["rounds/phase_seconds"].shape == (2, 2, 2, 4, 8)
        hosts = [json.loads(manifest)["hosts"] for manifest in file["points/manifest"].asstr()[:]]
    assert [[len(host["ranks"]) for host in point] for point in hosts] == [[1], [2, 2]]


def test_scaling_study_in_one_job(desk, study):
    [job] = desk.submit("scaling", "--ranks-per-node", 2)    # two nodes: the largest point has four ranks
    desk.done(job)
    check_study(study)


def test_scaling_study_point_by_point(desk, study):
    *points, join = desk.submit("scaling", "--ranks", "1,4", "--ranks-per-node", 2)
    for job in points:
        desk.done(job)
    desk.done(join)
    check_study(study)
    assert (study / "figures" / "efficiency.png").exists()


def test_chain_of_a_run_and_its_report(desk):
    first, second = desk.submit("run", "--ranks-per-node", 2, "--report")
    assert desk.cluster.show(second)["Dependency"].startswith(f"afterok:{first}")
    desk.done(first)
    desk.done(second)
    assert (desk.home / "report" / "report.html").exists()


def test_chain_ends_where_the_run_fails(desk):
    first, second = desk.submit("run", "--ranks-per-node", 1, "--report", "--", "--set", "train.lr=-1")
    assert desk.done(first, "FAILED")["ExitCode"] == "2:0"
    assert "train.lr" in desk.log(first)
    assert desk.cluster.wait_for(second)["JobState"] == "CANCELLED"


def test_time_limit_puts_a_job_back_until_it_is_done(desk, experiments):
    """The shortest limit that Slurm has, and a warning that comes 5 to 35 s after the start; so long the ranks are halted,
    as the run would be done before."""
    lasting = experiments.lasting(4)
    expected = experiments.result(*lasting)
    job = desk.sbatch("--time=1", "--signal=B:USR1@25", "--nodes=2", "--ntasks-per-node=1", JOBS / "run.sbatch",
                      desk.config, *lasting)
    desk.under_way(12)
    desk.signal_ranks(job, signal.SIGSTOP)
    wait_until(lambda: "the time limit is near" in desk.log(job), 60, "a warning")
    desk.signal_ranks(job, signal.SIGCONT)
    shown = desk.done(job)
    assert int(shown["Restarts"]) >= 1, desk.log(job)
    assert len(desk.resumed()) == int(shown["Restarts"])
    assert differences(expected, desk.home) == []


def test_time_limit_puts_a_scaling_study_back(desk):
    """As above; a study writes no checkpoint: the warning ends the ranks, and the next start goes on after whole repeats."""
    path = desk.folder / "slow.toml"
    slow = ", ".join(f'"{word}"' for word in SLOW[1::2])
    path.write_text(f'name = "slow"\nconfig = "{desk.config}"\nvalues = [2]\nrounds = 30\nwarmup = 1\nrepeats = 5\nset = [{slow}]\n')
    job = desk.sbatch("--time=1", "--signal=B:USR1@25", "--nodes=2", "--ntasks-per-node=1", JOBS / "scaling.sbatch", path,
                      "--point", 2)
    measured = desk.folder / "runs/slow/points/2.h5"
    wait_until(measured.exists, 60, "a repeat")
    desk.signal_ranks(job, signal.SIGSTOP)
    wait_until(lambda: "the time limit is near" in desk.log(job), 60, "a warning")
    desk.signal_ranks(job, signal.SIGCONT)
    shown = desk.done(job)
    assert int(shown["Restarts"]) >= 1, desk.log(job)
    assert re.search(r"[1-4] of 5 repeats were measured before", desk.log(job))
    with h5py.File(measured) as file:
        assert file["rounds/phase_seconds"].shape[:3] == (1, 5, 30)


def test_a_node_that_is_set_down_in_mid_run(desk, experiments):
    """Slurm puts the job back at once; it goes on from its last checkpoint, elsewhere."""
    lasting = experiments.lasting(4)
    expected = experiments.result(*lasting)
    [job] = desk.submit("run", "--nodes", 2, "--ranks-per-node", 1, "--", *lasting)
    desk.under_way(12)
    lost = list(desk.hosts())[1]
    desk.cluster.command("scontrol", "update", f"NodeName={lost}", "State=DOWN", "Reason=test")
    try:
        shown = desk.done(job)
        assert shown["Restarts"] == "1"
        assert lost not in desk.cluster.command("scontrol", "show", "hostnames", shown["NodeList"]).split()
        assert len(desk.resumed()) == 1
        assert differences(expected, desk.home) == []
    finally:
        desk.cluster.command("scontrol", "update", f"NodeName={lost}", "State=RESUME")


def test_a_job_that_is_preempted(desk, experiments, machine):
    """Slurm asks the ranks to end and gives them a minute; the job goes on when the nodes are free again."""
    lasting = experiments.lasting(4)
    expected = experiments.result(*lasting)
    [job] = desk.submit("run", "--nodes", 2, "--machine", machine, "--", *lasting)
    desk.under_way(12)
    urgent = desk.sbatch("--partition=urgent", "--nodes=4", "--exclusive", "--output=urgent.log", "--wrap=true")
    desk.cluster.wait_for(urgent)
    shown = desk.done(job)
    assert shown["Restarts"] == "1"
    assert len(desk.resumed()) == 1
    assert differences(expected, desk.home) == []


def finish_elsewhere(desk, lasting):
    return run("run", desk.config, "--out", desk.home.parent, "--continue", *lasting, ranks=2).stderr


def test_a_cancelled_job_leaves_a_usable_checkpoint(desk, experiments):
    lasting = experiments.lasting(4)
    expected = experiments.result(*lasting)
    [job] = desk.submit("run", "--nodes", 2, "--ranks-per-node", 1, "--", *lasting)
    desk.under_way(12)
    desk.cluster.command("scancel", job)
    shown = desk.done(job, "CANCELLED")
    assert shown["Restarts"] == "0"
    assert (desk.home / "checkpoint.h5").exists()
    finish_elsewhere(desk, lasting)
    assert len(desk.resumed()) == 1
    assert differences(expected, desk.home) == []


def test_a_job_that_is_asked_to_stop_loses_nothing(desk, experiments, machine):
    lasting = experiments.lasting(4)
    expected = experiments.result(*lasting)
    [job] = desk.submit("run", "--nodes", 2, "--machine", machine, "--", *lasting)
    desk.under_way(12)
    desk.cluster.command("scancel", "--batch", "--signal=USR2", job)
    shown = desk.done(job, "FAILED")
    assert (shown["ExitCode"], shown["Restarts"]) == (STOPPED, "0")
    rounds = desk.rounds()
    assert f"goes on after round {rounds}\n" in finish_elsewhere(desk, lasting)
    assert differences(expected, desk.home) == []


@pytest.mark.parametrize("arguments, said", [
    (["run.sbatch", "absent.toml"], "no config absent.toml"),
    (["run.sbatch"], "usage: sbatch"),
    (["array.sbatch", "CONFIG", "CONFIG"], "no job array"),
    (["scaling.sbatch"], "usage: sbatch"),
    (["join.sbatch", "runs/weak"], "usage: sbatch"),
])
def test_job_files_refuse_by_hand(desk, arguments, said):
    script, *rest = [str(desk.config) if part == "CONFIG" else part for part in arguments]
    job = desk.sbatch("--ntasks-per-node=1", JOBS / script, *rest)
    assert desk.done(job, "FAILED")["ExitCode"] == "2:0"
    [log] = desk.folder.glob(f"fedselect-{job}*.log")
    assert said in log.read_text()
