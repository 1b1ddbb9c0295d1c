"""What `fedselect estimate` says beside what then happens: seconds, memory, bytes, files.

Usage: /usr/bin/python3 bench/estimate.py FEDSELECT_PROGRAM [RANKS] [CONFIG...]

For each config (configs/quickstart.toml and bench/many_clients.toml) on RANKS ranks (2): the estimate, then at once the run, whose
ranks' memory is read from /proc: every 50 ms each rank's largest resident set (VmHWM), and every half second, for reading it stops a rank,
the sum of the ranks' shares (Pss: memory that n processes share counts 1/n for each), which is what they take of a node. Ratios are
foretold over happened.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

import h5py

HERE = pathlib.Path(__file__).resolve().parent
CONFIGS = (HERE.parent / "configs" / "quickstart.toml", HERE / "many_clients.toml")
KIBIBYTE = 1024
INTERVAL, PSS_INTERVAL = 0.05, 0.5


def command(program, ranks, *arguments):
    launcher = ["mpirun", "--bind-to", "none", "--oversubscribe", "-n", str(ranks)] if ranks > 1 else []
    return [*launcher, str(program), *map(str, arguments)]


def read_field(path, name):
    for line in path.read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * KIBIBYTE
    return 0


def ranks_of(launched):
    """Processes of the program that a launcher started, or that it is."""
    found, waiting = [], [launched]
    while waiting:
        pid = waiting.pop()
        try:
            name = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            continue
        waiting += map(int, children)
        if name == "fedselect":
            found.append(pid)
    return found


def watch(arguments):
    """Runs a command; returns its seconds, the largest VmHWM of a rank, and the largest sum of Pss."""
    start = time.monotonic()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    rank, node, next_shares = 0, 0, 0
    while process.poll() is None:
        reads_shares = time.monotonic() >= next_shares
        shares = 0
        for pid in ranks_of(process.pid):
            try:
                rank = max(rank, read_field(pathlib.Path(f"/proc/{pid}/status"), "VmHWM"))
                if reads_shares:
                    shares += read_field(pathlib.Path(f"/proc/{pid}/smaps_rollup"), "Pss")
            except OSError:
                continue
        node = max(node, shares)
        if reads_shares:
            next_shares = time.monotonic() + PSS_INTERVAL
        time.sleep(INTERVAL)
    assert process.returncode == 0, arguments
    return time.monotonic() - start, rank, node


def compare(program, ranks, config, folder):
    foretold_path = folder / "foretold.json"
    start = time.monotonic()
    subprocess.run(command(program, ranks, "estimate", config, "--out", folder, "--json", foretold_path), check=True,
                   stdout=subprocess.DEVNULL)
    took = time.monotonic() - start
    foretold = json.loads(foretold_path.read_text())
    seconds, rank, node = watch(command(program, ranks, "run", config, "--out", folder, "--name", "run", "--quiet"))
    print(f"\n{config.name}, {ranks} ranks; the estimate took {took:.1f} s")
    print(f"{'':24}{'foretold':>14}{'happened':>14}{'ratio':>8}")

    def row(what, a, b):
        print(f"{what:24}{a:14.1f}{b:14.1f}{a / b if b else float('nan'):8.3f}")

    row("seconds", foretold["seconds"], seconds)
    row("MB a rank (VmHWM)", foretold["rank_bytes"] / 1e6, rank / 1e6)
    row("MB a node (sum of Pss)", foretold["node_bytes"] / 1e6, node / 1e6)
    several = len(foretold["methods"]) > 1
    for method in foretold["methods"]:
        home = folder / "run" / method["label"] if several else folder / "run"
        with h5py.File(home / "result.h5") as file:
            sent = int(file["metrics/bytes_up"][()].sum() + file["metrics/bytes_down"][()].sum())
        manifest = json.loads((home / "manifest.json").read_text())
        row(f"{method['label']}: s", method["seconds"], manifest["seconds"])
        row("  bytes, MB", method["bytes"] / 1e6, sent / 1e6)
        row("  result.h5, MB", method["files"]["result"] / 1e6, (home / "result.h5").stat().st_size / 1e6)


def main(program, ranks=2, *configs):
    for config in map(pathlib.Path, configs or CONFIGS):
        with tempfile.TemporaryDirectory() as folder:
            compare(program, int(ranks), config, pathlib.Path(folder))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
