#!/bin/sh
# scripts/tidy.sh [FILE...]: clang-tidy on the sources of src/ (all of them, or those named), with the flags of the
# preset cuda-host. Kernels are built for several instruction sets; one of them is enough here. cpu_ops.cpp asks GCC for levels of x86-64
# by names that clang 14 does not know, so that file can't be looked at.
set -eu
cd "$(dirname "$0")/.."
build=build/cuda-host
[ -f "$build/compile_commands.json" ] || cmake --preset cuda-host >/dev/null

mkdir -p build/tidy
/usr/bin/python3 - "$build/compile_commands.json" build/tidy/compile_commands.json "$@" <<'PYTHON'
import json
import os
import re
import sys

source, target, *wanted = sys.argv[1:]
wanted = {os.path.abspath(path) for path in wanted}
entries = {}
for entry in json.load(open(source)):
    path = entry["file"]
    if path.endswith("/ops/cpu/cpu_ops.cpp"):
        continue
    if path.startswith(os.path.abspath("src") + "/") and (not wanted or path in wanted):
        # clang can't read what GCC precompiled: every source includes what it needs.
        entry["command"] = re.sub(r"-Winvalid-pch|-include \S+cmake_pch\.hxx", "", entry["command"])
        entries.setdefault(path, entry)
json.dump(list(entries.values()), open(target, "w"), indent=1)
print(f"clang-tidy on {len(entries)} files")
PYTHON
if ! run-clang-tidy -quiet -j "$(nproc)" -p build/tidy >build/tidy/findings.log 2>build/tidy/progress.log; then
  grep -v '^clang-tidy' build/tidy/findings.log
  tail -n 3 build/tidy/progress.log >&2
  exit 1
fi
echo "clang-tidy: nothing found"
