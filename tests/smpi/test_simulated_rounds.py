"""The program's own communication on 64 simulated ranks (bench/smpi): the sums are right on every rank, in bytes as docs/scaling.md
says. ctest names the simulated program in ROUND_PLAYER_SMPI."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "bench" / "smpi"))
from simulator import TOPOLOGIES, platform, simulate  # noqa: E402

RANKS = 64


def play(kind, nodes, *arguments):
    """Rounds of mlp whose sums every rank checks: a wrong one ends the program."""
    return simulate(os.environ["ROUND_PLAYER_SMPI"], platform(kind, nodes), nodes, RANKS // nodes,
                    ["--network", "mlp", "--check", *arguments], seconds=60)


@pytest.mark.parametrize("kind", TOPOLOGIES)
@pytest.mark.parametrize("nodes", [64, 16])
def test_sums_are_right(kind, nodes):
    rounds = play(kind, nodes, "--clients", 128, "--population", 256, "--spread", 0.5, "--masks", "changing")
    assert len(rounds) == 3
    assert all(r["ranks"] == RANKS and r["loans"] > 0 for r in rounds)
    assert all(r["bytes"] == 12 * r["values"] for r in rounds)


@pytest.mark.parametrize("masks, bytes_a_value", [("none", [8, 8, 8]), ("fixed", [12, 8, 8]), ("changing", [12, 12, 12])])
def test_counts_are_sent_when_a_mask_changed(masks, bytes_a_value):
    rounds = play("fat-tree", 64, "--clients", 128, "--masks", masks)
    assert [r["bytes"] / r["values"] for r in rounds] == bytes_a_value
