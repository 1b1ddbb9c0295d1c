"""Tables and figures of docs/scaling.md, from the results of predict.py."""

import pathlib

import matplotlib
import numpy

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

IMAGES = pathlib.Path(__file__).resolve().parent.parent.parent / "docs" / "images"
PLATFORMS = ("fat-tree", "dragonfly")
RANKS = (64, 256, 1024, 4096)
COLORS = {"mlp": "#0072b2", "cnn": "#d55e00"}
MARKERS = {"fat-tree": "o", "dragonfly": "s"}


class Model:
    """Seconds of the sum and of all else that is said, for any number of ranks: fitted to what was simulated on one platform.

    A ring of P ranks passes on 1/P of the array 2 (P - 1) times: a (P - 1) + b bytes (P - 1) / P. All else: c + e P, because
    the root hears from every rank.
    """

    def __init__(self, rounds):
        size = numpy.array([r["bytes"] for r in rounds], float)
        ranks = numpy.array([r["ranks"] for r in rounds], float)
        seconds = numpy.array([r["sum"] for r in rounds])
        terms = numpy.stack([ranks - 1, size * (ranks - 1) / ranks], axis=1)
        # Relative errors count, whatever the size.
        self.ring = numpy.linalg.lstsq(terms / seconds[:, None], numpy.ones(len(seconds)), rcond=None)[0]
        self.error = float(numpy.abs(terms @ self.ring / seconds - 1).max())
        gather = numpy.array([r["gather"] for r in rounds])
        self.talk = numpy.polyfit(ranks, gather, 1)

    def sum(self, ranks, size):
        return float(self.ring @ [ranks - 1, size * (ranks - 1) / ranks])

    def gather(self, ranks):
        return float(numpy.polyval(self.talk, ranks))


def spoken(result):
    """Seconds of a round in which ranks talk."""
    return result["sum"] + result["gather"]


def at(results, network, platform, ranks, clients):
    """A round, simulated where it was, else by the model: seconds of sum, gather, and in all."""
    rounds = [r for r in results["rounds"] if r["masks"] == "none" and r["platform"] == platform]
    for r in rounds:
        if (r["network"], r["ranks"], r["clients"]) == (network, ranks, clients):
            return r | {"by": "simulation"}
    inputs = results["inputs"][network]
    model = Model(rounds)
    sizes = {r["network"]: r["bytes"] for r in rounds}
    # The slowest rank: what the same number of clients a rank took in a simulation.
    each = clients / ranks
    near = min((r for r in rounds if r["network"] == network), key=lambda r: abs(r["clients"] / r["ranks"] - each))
    mean = near["clients"] / near["ranks"] * inputs["client_seconds"]
    train = max(1.5, (near["train"] + near["wait"]) / mean * each) * inputs["client_seconds"]
    said = {"sum": model.sum(ranks, sizes[network]), "gather": model.gather(ranks)}
    return said | {"by": "model", "total": train + sum(said.values()) + inputs["merge_seconds"] + clients * inputs["record_seconds"]}


def table(header, rows):
    print("| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|")
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


def scaling(results, cohort, per_rank):
    for name, clients_of in (("strong", lambda ranks: cohort), ("weak", lambda ranks: per_rank * ranks)):
        print(f"{name} scaling\n")
        rows = []
        for network in COLORS:
            for platform in PLATFORMS:
                for ranks in RANKS:
                    r = at(results, network, platform, ranks, clients_of(ranks))
                    ideal = clients_of(ranks) / ranks * results["inputs"][network]["client_seconds"]
                    rows.append((network, platform, f"{ranks:,}" + ("" if r["by"] == "simulation" else " *"), f"{clients_of(ranks):,}",
                                 f"{r['sum'] * 1e3:.2f}", f"{r['gather'] * 1e3:.2f}", f"{r['total'] * 1e3:.0f}",
                                 f"{ideal / r['total']:.0%}"))
        table(("network", "platform", "ranks", "clients", "sum, ms", "records, ms", "round, ms", "efficiency"), rows)


def figures(results, cohort, per_rank):
    IMAGES.mkdir(exist_ok=True)
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    plans = (("Strong scaling: a cohort of 2,048", lambda ranks: cohort, "total"),
             ("Weak scaling: 2 clients a rank", lambda ranks: per_rank * ranks, "total"), ("Sum and records", lambda ranks: cohort, None))
    for ax, (title, clients_of, what) in zip(axes, plans):
        for network, color in COLORS.items():
            for platform, marker in MARKERS.items():
                rounds = [at(results, network, platform, ranks, clients_of(ranks)) for ranks in RANKS]
                values = [1e3 * (r["total"] if what else spoken(r)) for r in rounds]
                ax.plot(RANKS, values, color=color, marker=marker, linestyle="-" if platform == "fat-tree" else ":",
                        label=f"{network}, {platform}", fillstyle="full" if platform == "fat-tree" else "none")
            if what:
                ideal = [1e3 * clients_of(ranks) / ranks * results["inputs"][network]["client_seconds"] for ranks in RANKS]
                ax.plot(RANKS, ideal, color=color, alpha=0.35, linewidth=1)
        ax.set(title=title, xscale="log", yscale="log", xlabel="ranks", xticks=RANKS)
        ax.set_xticklabels([f"{ranks:,}" for ranks in RANKS])
        ax.minorticks_off()
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("ms a round, predicted")
    axes[2].legend(fontsize=7)
    figure.savefig(IMAGES / "scaling.svg", metadata={"Date": None})


def report(results, cohort, per_rank):
    table(("network", "client, ms", "merge, ms", "record, us"), [
        (network, f"{i['client_seconds'] * 1e3:.2f}", f"{i['merge_seconds'] * 1e3:.2f}", f"{i['record_seconds'] * 1e6:.1f}")
        for network, i in results["inputs"].items()])
    if "validation" in results:
        found = results["validation"]
        print(f"memory {found['bandwidth'] / 1e9:.1f} GB/s, {found['latency'] * 1e6:.1f} us\n")
        table(("network", "sum measured, ms", "simulated, ms", "error"), [
            (v["network"], f"{v['measured'] * 1e3:.2f}", f"{v['simulated'] * 1e3:.2f}", f"{v['simulated'] / v['measured'] - 1:+.0%}")
            for v in found["sum"]])
        table(("network", "ranks", "round measured, ms", "simulated, ms", "error"), [
            (v["network"], v["ranks"], f"{v['measured'] * 1e3:.0f}", f"{v['simulated'] * 1e3:.0f}",
             f"{v['simulated'] / v['measured'] - 1:+.0%}") for v in found["rounds"]])
    scaling(results, cohort, per_rank)
    table(("network", "platform", "ranks", "8 bytes, ms", "12 bytes, ms"), [
        (r["network"], r["platform"], r["ranks"], f"{s['sum'] * 1e3:.2f}", f"{r['sum'] * 1e3:.2f}")
        for r in results["rounds"] for s in results["rounds"] if r["masks"] == "changing" and s["masks"] == "none"
        and all(r[key] == s[key] for key in ("network", "platform", "ranks", "clients")) and r["clients"] == cohort])
    for platform in PLATFORMS:
        model = Model([r for r in results["rounds"] if r["platform"] == platform and r["masks"] == "none"])
        print(f"model, {platform}: {model.ring[0] * 1e6:.3f} us (P - 1) + {model.ring[1] * 1e12:.2f} ps bytes (P - 1) / P, off by "
              f"{model.error:.0%} at most; records {model.talk[1] * 1e6:.0f} us + {model.talk[0] * 1e6:.2f} us P\n")
    if "variants" in results:
        ways = list(results["variants"][-1]["seconds"])
        table(("nodes", "ranks of each", "values", *ways), [
            (v["nodes"], v["per_node"], f"{v['values']:,}", *(f"{v['seconds'][w] * 1e3:.2f}" if w in v["seconds"] else "" for w in ways))
            for v in results["variants"]])
    figures(results, cohort, per_rank)
