"""Shows what the cases measured, whether they pass or not."""

ROWS = []


def pytest_terminal_summary(terminalreporter):
    if not ROWS:
        return
    show = terminalreporter.write_line
    show(f"{'case':40} {'seed':>4} {'weights':>8} {'moved':>7} {'left out':>8} {'personal':>9} {'near':>5} {'wrong':>6} {'images':>6}  largest difference in")
    for case, seed, c in ROWS:
        show(f"{case:40} {seed:4} {c.weights:8.1e} {c.moved:7.1e} {c.left_out:8.1e} {c.ones:9} {c.explained:5} {c.unexplained:6} {c.images:6.2f}  {c.where}")
    show("weights: largest norm-wise relative difference of a tensor; moved: by training, of a whole model; left out: parameters near a cutoff; near, wrong: "
         "mask bits that differ, within 1e-4 of a cutoff and elsewhere")
