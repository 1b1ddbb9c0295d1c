"""Platforms for SimGrid, and runs of round_player_smpi on them."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

# Links of 100 Gbit/s, 375 ns each; a node's own memory between its ranks.
LINK = 'bw="12.5GBps" lat="375ns" sharing_policy="SPLITDUPLEX"'
NODE = 'loopback_bw="10GBps" loopback_lat="300ns"'
TOPOLOGIES = {
    # Two levels, as many links up as down: nothing is oversubscribed.
    "fat-tree": ("FAT_TREE", {16: "2;4,4;1,4;1,1", 64: "2;8,8;1,8;1,1", 256: "2;16,16;1,16;1,1", 1024: "2;32,32;1,32;1,1"}),
    # Groups, chassis, routers, nodes of a router; and the links between them.
    "dragonfly": ("DRAGONFLY", {16: "2,2;2,2;2,1;2", 64: "2,2;4,2;2,1;4", 256: "4,2;4,2;4,1;4", 1024: "8,2;4,2;8,1;4"}),
}
# What MPI itself takes of each message, seconds at the sender and at the receiver; beyond that links do what they say. SimGrid's own
# factors were measured on Ethernet.
MODEL = ["--cfg=smpi/os:0:4e-7:0", "--cfg=smpi/or:0:4e-7:0", "--cfg=smpi/bw-factor:0:0.95", "--cfg=smpi/lat-factor:0:1"]
# A link of which the whole was measured.
EXACT = ["--cfg=smpi/os:0:0:0", "--cfg=smpi/or:0:0:0", "--cfg=smpi/bw-factor:0:1", "--cfg=smpi/lat-factor:0:1"]
# Small messages go along trees: what SimGrid 3.32 takes for Open MPI's choices ends in a deadlock on 1,024 ranks.
TREES = ["--cfg=smpi/gather:ompi_binomial", "--cfg=smpi/reduce:binomial", "--cfg=smpi/bcast:binomial_tree"]
QUIET = ["--cfg=smpi/simulate-computation:no", "--cfg=smpi/privatization:no", "--log=root.thres:warning"]


def platform(kind, nodes):
    """Platform file for so many nodes."""
    topology, shapes = TOPOLOGIES[kind]
    return _document(f'<cluster id="c" prefix="n" suffix="" radical="0-{nodes - 1}" speed="1Gf" {LINK} {NODE} '
                     f'topology="{topology}" topo_parameters="{shapes[nodes]}"/>')


def one_node(bandwidth, latency, cores):
    """Platform file for the ranks of one node, a core each, whose memory copies `bandwidth` bytes a second after `latency` seconds."""
    return _document(f'<cluster id="c" prefix="n" suffix="" radical="0-0" speed="1Gf" core="{cores}" {LINK} '
                     f'loopback_bw="{bandwidth:.0f}Bps" loopback_lat="{latency:.3e}s"/>')


def _document(cluster):
    return ("<?xml version='1.0'?>\n<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
            f'<platform version="4.1">\n  {cluster}\n</platform>\n')


def require_programs(build, *names):
    """Ends where BUILD_FOLDER has not all of these programs of bench/smpi."""
    missing = [name for name in names if not (build / "bench/smpi" / name).exists()]
    if missing:
        sys.exit(f"{build / 'bench/smpi'} has no {', '.join(missing)}: install libsimgrid-dev, then cmake --preset release && "
                 "cmake --build --preset release, and name build/release")


def simulate(program, description, nodes, per_node, arguments, selector="ompi", model=MODEL, seconds=1800, folds=False):
    """Runs `program` with `per_node` neighbouring ranks on each node; what it printed. `folds`: long arrays of all ranks lie in the same
    memory, so that a thousand ranks fit."""
    with tempfile.TemporaryDirectory() as folder:
        xml, hosts = Path(folder) / "platform.xml", Path(folder) / "hosts"
        xml.write_text(description)
        hosts.write_text("".join(f"n{i}\n" * per_node for i in range(nodes)))
        preload = ["-wrapper", f"env LD_PRELOAD={Path(program).parent / 'libfolded_memory.so'}"] if folds else []
        command = ["smpirun", *preload, "-np", str(nodes * per_node), "-platform", str(xml), "-hostfile", str(hosts), *model, *QUIET,
                   f"--cfg=smpi/coll-selector:{selector}", *TREES, str(program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    if done.returncode != 0 or "Deadlock" in done.stderr:  # smpirun is content with a deadlock
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return rounds_of(done.stdout)


def rounds_of(text):
    """What round_player printed."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
