"""jobs/submit: the sbatch commands it makes, what it refuses, and the machine files that come with it. Needs no Slurm."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

JOBS = Path(__file__).parent.parent.parent / "jobs"
MACHINES = sorted(path.stem for path in (JOBS / "machines").glob("*.sh"))
CONFIG = "study.toml"
STUDY = "strong.toml"
FAKE_SBATCH = """#!/bin/sh
printf '%s\\n' "$*" >> calls.txt
echo "7$(wc -l < calls.txt);cluster"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / CONFIG).write_text('seed = 1\nname = "first" # the folder\n[data]\nname = "other"\n')
    (tmp_path / STUDY).write_text('name = "strong"\nconfig = "study.toml"\nvalues = [ # points\n  3, 4, # [small]\n  1_2,\n]\n')
    (tmp_path / "clients.toml").write_text('name = "c"\nover = "clients"\nvalues = [10, 100]\n')
    (tmp_path / "lines.txt").write_text("--set seed=1\n--set seed=2\n")
    return tmp_path


def submit(folder, *arguments, path=None, jobs=JOBS):
    environment = os.environ | {"PATH": path or os.environ["PATH"]}
    return subprocess.run(["/usr/bin/python3", str(jobs / "submit"), *arguments], cwd=folder, env=environment,
                          capture_output=True, text=True, timeout=30)


def commands(folder, *arguments):
    """Each command of a dry run as one string, without what is always there."""
    done = submit(folder, arguments[0], "--dry-run", *arguments[1:])
    assert done.returncode == 0, done.stderr
    found = []
    for line in done.stdout.splitlines():
        words = shlex.split(line)
        assert words[:2] == ["sbatch", "--parsable"]
        assert words[2].startswith(f"--export=ALL,FEDSELECT_JOBS={JOBS},FEDSELECT_MACHINE=")
        found.append(" ".join(word.replace(f"{JOBS}/", "") for word in words[3:]))
    return found


def test_run(folder):
    assert commands(folder, "run", CONFIG) == ["--nodes=1 --ntasks-per-node=8 run.sbatch study.toml --out runs"]
    assert commands(folder, "run", CONFIG, "--nodes", "2", "--ranks-per-node", "4", "--gpus-per-node", "4", "--time", "1-0",
                    "--account", "a1", "--partition", "long", "--name", "n", "--out", "o", "--", "--set", "seed=2") == [
        "--time=1-0 --account=a1 --partition=long --nodes=2 --ntasks-per-node=4 --gpus-per-node=4 "
        "run.sbatch study.toml --name n --out o --set seed=2"]


def test_report_follows_the_run(folder):
    for arguments, run in (([], "runs/first"), (["--name", "n", "--out", "o"], "o/n")):
        found = commands(folder, "run", CONFIG, "--time", "60", "--report", *arguments)
        assert len(found) == 2
        assert found[1] == ("--dependency=afterok:EARLIER --kill-on-invalid-dep=yes --nodes=1 --ntasks=1 --ntasks-per-node=1 "
                            f"report.sbatch {run}")


def test_warning_as_early_as_the_user_says(folder):
    for kind, config in (("run", CONFIG), ("sweep", CONFIG), ("scaling", "clients.toml")):
        [found] = commands(folder, kind, config, "--warn", "10", "--time", "13")
        assert found.startswith("--signal=B:USR1@600 --time=13 --nodes=1 ")
    assert "--signal" not in commands(folder, "run", CONFIG, "--warn", "10", "--report")[1]


def test_array(folder):
    assert commands(folder, "array", CONFIG, "lines.txt", "--out", "o") == [
        "--nodes=1 --ntasks-per-node=8 --array=1-2 array.sbatch study.toml lines.txt --out o"]


def test_sweep(folder):
    assert commands(folder, "sweep", CONFIG, "--nodes", "2", "--ranks-per-node", "4", "--ranks-per-trial", "2") == [
        "--nodes=2 --ntasks-per-node=4 sweep.sbatch study.toml --out runs --ranks-per-trial 2"]
    assert commands(folder, "sweep", CONFIG, "--trials", "9", "--ranks-per-node", "4", "--", "--retry-failed", "--quiet") == [
        "--nodes=1 --ntasks-per-node=4 --array=1-9 --output=fedselect-%A_%a.log sweep.sbatch study.toml --out runs --retry-failed --quiet",
        "--dependency=afterany:EARLIER --kill-on-invalid-dep=yes --nodes=1 --ntasks=1 --ntasks-per-node=1 sweep.sbatch study.toml "
        "--out runs --quiet --tables"]


def test_scaling(folder):
    for arguments, shape in (
            (["--ranks-per-node", "4"], (3, 4)),     # as large as the largest point
            (["--ranks-per-node", "16"], (1, 12)),
            (["--ranks-per-node", "4", "--nodes", "4"], (4, 4))):
        assert commands(folder, "scaling", STUDY, *arguments, "--", "--device", "cpu") == [
            "--nodes=%d --ntasks-per-node=%d scaling.sbatch strong.toml --out runs --device cpu" % shape]
    for arguments, shape in (([], (1, 8)), (["--nodes", "2", "--ranks-per-node", "4"], (2, 4))):
        assert commands(folder, "scaling", "clients.toml", *arguments) == [
            "--nodes=%d --ntasks-per-node=%d scaling.sbatch clients.toml --out runs" % shape]


def test_scaling_point_by_point(folder):
    points = [(1, 3), (1, 4), (3, 4)]
    *found, join = commands(folder, "scaling", STUDY, "--ranks", "3,4,12", "--ranks-per-node", "4", "--out", "o")
    assert found == [f"--nodes={n} --ntasks-per-node={r} scaling.sbatch strong.toml --out o --point {n * r}" for n, r in points]
    assert join == ("--dependency=afterok:EARLIER --kill-on-invalid-dep=yes --nodes=1 --ntasks=1 --ntasks-per-node=1 "
                    "join.sbatch o/strong strong.toml --out o")


def test_points_left_out_are_told(folder):
    arguments = ["scaling", STUDY, "--dry-run", "--ranks-per-node", "4", "--out", "o", "--ranks"]
    assert submit(folder, *arguments, "12,4,3").stderr == ""
    done = submit(folder, *arguments, "4")
    assert done.returncode == 0
    assert done.stderr == ("jobs/submit: strong.toml has points that o/strong/points lacks, without which the others can't be "
                           "joined: --ranks 3,12\n")
    (folder / "o/strong/points").mkdir(parents=True)
    for value in (3, 12):
        (folder / f"o/strong/points/{value}.h5").write_text("")
    assert submit(folder, *arguments, "4").stderr == ""


def test_a_machine_decides_unless_the_user_does(folder):
    (folder / "mine.sh").write_text("sbatch_options='--partition=a --exclusive'\nranks_per_node=16\ngpus_per_node=2\n")
    [found] = commands(folder, "run", CONFIG, "--machine", "./mine.sh", "--partition", "b", "--ranks-per-node", "3")
    assert found.startswith("--partition=a --exclusive --partition=b --nodes=1 --ntasks-per-node=3 --gpus-per-node=2 ")
    [found] = commands(folder, "run", CONFIG, "--machine", "./mine.sh", "--gpus-per-node", "0")
    assert found.startswith("--partition=a --exclusive --nodes=1 --ntasks-per-node=16 run.sbatch ")


def test_what_a_machine_file_says_is_no_setting(folder):
    (folder / "mine.sh").write_text("echo loading modules\nranks_per_node=16\n")
    [found] = commands(folder, "run", CONFIG, "--machine", "./mine.sh")
    assert found.startswith("--nodes=1 --ntasks-per-node=16 run.sbatch ")


@pytest.mark.parametrize("text, said", [
    (b"ranks_per_node=four", "ranks_per_node: 'four' is no whole number above 0"),
    (b"gpus_per_node=-1", "gpus_per_node: '-1' is no whole number above 0"),
    (b"sbatch_options='--comment=\"two words'", "sbatch_options ends within quotes"),
    (b"exit 0", "ends the shell that reads it"),
    (b"caf\xe9", "is no machine file: "),
])
def test_a_wrong_machine_file_is_refused(folder, text, said):
    (folder / "mine.sh").write_bytes(text)
    done = submit(folder, "run", CONFIG, "--machine", "./mine.sh", "--dry-run")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert said in done.stderr and "mine.sh" in done.stderr


@pytest.mark.parametrize("arguments", [
    ["run", "latin.toml", "--report"], ["array", CONFIG, "latin.toml"], ["sweep", "latin.toml", "--trials", "2"],
    ["scaling", "latin.toml"],
])
def test_text_that_is_none_is_refused(folder, arguments):
    (folder / "latin.toml").write_bytes('name = "n"\nmethod = "café"\nvalues = [1]\n'.encode("latin-1"))
    done = submit(folder, *arguments, "--dry-run")
    assert (done.returncode, done.stderr) == (
        2, "jobs/submit: latin.toml, line 2 is no UTF-8: save the file as UTF-8\n")


@pytest.mark.parametrize("machine", MACHINES)
def test_machine_files_set_what_they_may(folder, machine):
    assert commands(folder, "run", CONFIG, "--machine", machine)
    keys = "sbatch_options ranks_per_node gpus_per_node preset launcher srun_options mpirun_options scratch"
    script = f'before=$(compgen -v); . "$0"; comm -13 <(sort <<<"$before") <(compgen -v | sort); echo "launcher:$launcher"'
    done = subprocess.run(["bash", "-euc", script, str(JOBS / "machines" / f"{machine}.sh")], capture_output=True, text=True,
                          timeout=30, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 0, done.stderr
    *names, launcher = done.stdout.split()
    assert {name for name in names if name.islower()} <= {*keys.split(), "before"}
    assert "CUDA_VISIBLE_DEVICES" not in names    # Slurm sets it anew for the ranks
    assert launcher in ("launcher:srun", "launcher:mpirun", "launcher:auto")


def test_sbatch_is_called_as_a_dry_run_says(folder):
    tools = folder / "bin"
    tools.mkdir()
    (tools / "sbatch").write_text(FAKE_SBATCH)
    (tools / "sbatch").chmod(0o755)
    arguments = ["run", CONFIG, "--report"]
    done = submit(folder, *arguments, path=f"{tools}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["job 71", "job 72"]
    dry = submit(folder, *arguments, "--dry-run").stdout.replace("EARLIER", "71").replace("sbatch --parsable", "--parsable")
    assert (folder / "calls.txt").read_text() == dry
    (tools / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: x' >&2\nexit 1\n")
    done = submit(folder, *arguments, path=f"{tools}:{os.environ['PATH']}")
    assert (done.returncode, done.stderr) == (1, "jobs/submit: sbatch: error: invalid partition specified: x\n")


@pytest.mark.parametrize("arguments, said", [
    ([], "the following arguments are required: run|array|sweep|scaling"),
    (["run"], "required: CONFIG"),
    (["run", "absent.toml"], "no config absent.toml: it is looked for from"),
    (["run", CONFIG, "--nodes", "0"], "--nodes: '0' is no whole number above 0"),
    (["run", CONFIG, "--nodes", "1-4"], "--nodes: '1-4' is no whole number above 0"),
    (["run", CONFIG, "--time", "soon"], "'soon' is no time: MINUTES"),
    (["run", CONFIG, "--time", "4"], "4 is too short: a job is warned 2 minutes before its end, give it at least 5"),
    (["run", CONFIG, "--time", "0:04:59"], "0:04:59 is too short"),
    (["run", CONFIG, "--time", "20", "--warn", "18"], "20 is too short: a job is warned 18 minutes before its end, give it at least 21"),
    (["run", CONFIG, "--warn", "58"], "--time 60 is too short: a job is warned 58 minutes before its end, give it at least 61"),
    (["run", CONFIG, "--warn", "2000", "--time", "9-0"], "--warn: Slurm warns at most 1092 minutes before the end"),
    (["run", CONFIG, "--machine", "nowhere"], "no machine 'nowhere'"),
    (["run", CONFIG, "--machine", "./study.toml"], "study.toml is no machine file"),
    (["run", CONFIG, "--what"], "unrecognized arguments: --what"),
    (["run", "nameless.toml", "--report"], "nameless.toml has no name"),
    (["array", CONFIG, "absent.txt"], "no file absent.txt"),
    (["array", CONFIG, "empty.txt"], "empty.txt is empty"),
    (["array", CONFIG, "gap.txt"], "gap.txt, line 2 is empty"),
    (["array", CONFIG, "quote.txt"], "quote.txt, line 2 ends within quotes"),
    (["sweep", CONFIG, "--trials", "4", "--ranks-per-trial", "2"], "the ranks of a job run one trial"),
    (["sweep", "halving.toml", "--trials", "4"], "halving.toml has [halving], whose trials have to be compared"),
    (["sweep", "inline.toml", "--trials", "4"], "inline.toml has [halving]"),
    (["run", CONFIG, "--gpus-per-node", "-1"], "--gpus-per-node: "),
    (["run", CONFIG, "--", "--out", "d"], "--out behind --: jobs/submit passes it on itself: say it in front of --"),
    (["sweep", CONFIG, "--", "--quiet", "--out=d"], "--out behind --: "),
    (["run", CONFIG, "--", "--name", "n"], "--name behind --: "),
    (["array", CONFIG, "lines.txt", "--", "--name=n"], "--name behind --: each run has its own: say it in lines.txt"),
    (["run", CONFIG, "--report", "--", "--set", "name=x"], "--set name=x behind --: the report would not find the run: say --name in front of --"),
    (["run", CONFIG, "--report", "--", "--set=name = x"], "--set name = x behind --: "),
    (["run", CONFIG, "--machine", "./a,b.sh"], "./a,b.sh: sbatch can't pass on a path with a comma"),
    (["scaling", CONFIG, "--time", "2"], "2 is too short: a job is warned 2 minutes before its end"),
    (["scaling", CONFIG, "--ranks", "4,x"], "'x' is no whole number"),
    (["scaling", STUDY, "--ranks", "4,12", "--ranks-per-node", "9"], "12 ranks don't fill nodes of 9"),
    (["scaling", STUDY], "12 ranks don't fill nodes of 8"),
    (["scaling", STUDY, "--nodes", "2", "--ranks-per-node", "5"], "has a point of 12 ranks: 2 nodes of 5 are too few"),
    (["scaling", STUDY, "--ranks", "4", "--nodes", "2"], "--ranks says how large each job is"),
    (["scaling", STUDY, "--ranks", "4,6"], "--ranks: 6: strong.toml has no such value (there are 3, 4, 12)"),
    (["scaling", STUDY, "--ranks", "4,3,4"], "--ranks: 4 stands there twice"),
    (["scaling", "clients.toml", "--ranks", "10"], '--ranks: clients.toml has over = "clients"'),
    (["scaling", CONFIG], "study.toml has no values = [...] above its first section"),
    (["scaling", "nameless.toml", "--ranks", "4"], "nameless.toml has no name"),
])
def test_refusals_are_one_line(folder, arguments, said):
    (folder / "nameless.toml").write_text('values = [4]\n[data]\nname = "other"\n')
    (folder / "empty.txt").write_text("")
    (folder / "gap.txt").write_text("--set seed=1\n\n--set seed=2\n")
    (folder / "quote.txt").write_text("--set seed=1\n--set seed=5 --set model.hidden=7 'oops\n")
    (folder / "halving.toml").write_text('name = "h"\n  [ halving ]\nfirst_rounds = 10\n')
    (folder / "inline.toml").write_text('name = "h"\nhalving = { first_rounds = 10 }\n')
    (folder / "a,b.sh").write_text("")
    done = submit(folder, *arguments, *(["--dry-run"] if arguments else []))
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("place, arguments, said", [
    ("share/fedselect", ["--report"], "analysis is not installed with the program"),
    ("a,b", [], "a,b/jobs: sbatch can't pass on a path with a comma"),
])
def test_refuses_by_where_it_stands(folder, place, arguments, said):
    jobs = folder / place / "jobs"
    shutil.copytree(JOBS, jobs)
    done = submit(folder, "run", CONFIG, "--dry-run", *arguments, jobs=jobs)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_halving_runs_in_one_job(folder):
    (folder / "halving.toml").write_text('name = "h"\n[halving]\nfirst_rounds = 10\n')
    assert len(commands(folder, "sweep", "halving.toml", "--nodes", "2")) == 1


def test_no_slurm(folder):
    (folder / "bash").symlink_to(shutil.which("bash"))
    done = submit(folder, "run", CONFIG, path=str(folder))
    assert done.returncode == 2
    assert "no sbatch on PATH: submit on a login node" in done.stderr


def test_times_in_all_forms_of_slurm(folder):
    for time in ("5", "5:00", "0:05:00", "1-0", "1-0:0", "0-0:5:0", "90"):
        assert f"--time={time} " in commands(folder, "run", CONFIG, "--time", time)[0]
