#!/usr/bin/python3
"""compare_results.py A.h5 B.h5: exits with 0 if two result files are the same bit for bit, apart from /timings and
/provenance; else with 1, after naming the first thing that differs.
"""

import sys

import h5py
import numpy as np

FREE = ("timings", "provenance")  # what may differ between runs of one experiment


def first_difference(a, b):
    """Says what differs first between two open files, in the order of names; empty: nothing."""
    names = [sorted(n for n in all_names(f) if n.split("/")[0] not in FREE) for f in (a, b)]
    only = sorted(set(names[0]) ^ set(names[1]))
    if only:
        return f"/{only[0]} is in one of them only"
    for name in ["/", *names[0]]:
        difference = differs(a[name], b[name])
        if difference:
            return f"{name if name == '/' else '/' + name}: {difference}"
    return ""


def all_names(file):
    names = []
    file.visit(names.append)
    return names


def differs(a, b):
    """Attributes, kind, type, shape and values, in this order."""
    if sorted(a.attrs) != sorted(b.attrs):
        return f"attributes {sorted(a.attrs)} and {sorted(b.attrs)}"
    for key in sorted(a.attrs):
        if not same(np.asarray(a.attrs[key]), np.asarray(b.attrs[key])):
            return f"attribute {key} is {a.attrs[key]!r} and {b.attrs[key]!r}"
    if isinstance(a, h5py.Dataset) != isinstance(b, h5py.Dataset):
        return "a group and a data set"
    if not isinstance(a, h5py.Dataset):
        return ""
    if a.dtype != b.dtype or a.shape != b.shape:
        return f"{a.dtype} {a.shape} and {b.dtype} {b.shape}"
    rows = a.shape[0] if a.shape else 1
    for row in range(rows):  # a row at a time: masks may be larger than memory
        part = row if a.shape else ()
        x, y = np.asarray(a[part]), np.asarray(b[part])
        if not same(x, y):
            return f"first differs in row {row} of {rows}" if a.shape else "the values differ"
    return ""


def same(x, y):
    if x.dtype != y.dtype or x.shape != y.shape:
        return False
    if x.dtype.kind in "OUS":
        return x.tolist() == y.tolist()
    return x.tobytes() == y.tobytes()  # bits: NaN equals NaN, 0 differs from -0


def main(paths):
    if len(paths) != 2:
        sys.exit(__doc__)
    with h5py.File(paths[0]) as a, h5py.File(paths[1]) as b:
        difference = first_difference(a, b)
    if difference:
        print(f"{paths[0]} and {paths[1]} differ: {difference}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
