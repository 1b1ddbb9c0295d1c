#!/bin/sh
# scripts/tidy.sh [FILE...]: clang-tidy on the sources of src/ (all of them, or those named), with the flags of the
# preset cuda-host. Sources of a folder go in batches, for most of the time goes into the headers that they share; files that define the
# same name are not put into one. Kernels are built for several instruction sets; one of them is enough here, and each stands alone.
# cpu_ops.cpp asks GCC for levels of x86-64 by names that clang 14 does not know, so that file can't be looked at.
set -eu
from=$PWD
cd "$(dirname "$0")/.."
build=build/cuda-host
[ -f "$build/compile_commands.json" ] || cmake --preset cuda-host >/dev/null

rm -rf build/tidy
mkdir -p build/tidy
/usr/bin/python3 - "$build/compile_commands.json" build/tidy/compile_commands.json "$from" "$@" <<'PYTHON'
import collections
import json
import os
import pathlib
import re
import sys

source, target, here, *wanted = sys.argv[1:]
wanted = {os.path.normpath(os.path.join(here, path)) for path in wanted}
root, batches = os.path.abspath("src"), pathlib.Path(target).resolve().parent
MOST = 16  # files in a batch
NAMES = re.compile(r"^(?:inline )?constexpr [^=({;]*?(\w+)(?= =|\[|{|\()|^(?:struct|class|enum|enum class) (\w+)|^using (\w+) =", re.M)

folders = collections.defaultdict(dict)
for entry in json.load(open(source)):
    path = entry["file"]
    if path.startswith(root + "/") and not path.endswith("/ops/cpu/cpu_ops.cpp") and (not wanted or path in wanted):
        folders[os.path.relpath(os.path.dirname(path), root)].setdefault(path, entry)

if unknown := wanted - {path for files in folders.values() for path in files}:
    sys.exit(f"scripts/tidy.sh: no sources of src/ that it can look at: {', '.join(sorted(unknown))}")

entries = []
for folder, files in folders.items():
    groups = []  # lists of files, and the names that they define
    for path in files:
        names = {name for found in NAMES.findall(open(path).read()) for name in found if name}
        group = next((g for g in groups if folder != "ops/cpu" and len(g[0]) < MOST and not g[1] & names), None)
        if group is None:
            groups.append(group := ([], set()))
        group[0].append(path)
        group[1].update(names)
    for number, (paths, _) in enumerate(groups):
        batch = batches / f"{folder.replace('/', '-')}-{number}.cpp"
        batch.write_text("".join(f'#include "{path}"\n' for path in paths))
        entry = dict(files[paths[0]])
        # clang can't read what GCC precompiled: every source includes what it needs.
        command = re.sub(r"-Winvalid-pch|-include \S+cmake_pch\.hxx", "", entry["command"])
        entry.update(command=command.replace(entry["file"], str(batch)), file=str(batch))
        assert str(batch) in entry["command"], entry["command"]
        entries.append(entry)
json.dump(entries, open(target, "w"), indent=1)
print(f"clang-tidy on {sum(map(len, folders.values()))} files in {len(entries)} batches")
PYTHON
if ! run-clang-tidy -quiet -j "$(nproc)" -p build/tidy >build/tidy/findings.log 2>build/tidy/progress.log; then
  grep -v '^clang-tidy' build/tidy/findings.log
  tail -n 3 build/tidy/progress.log >&2
  exit 1
fi
echo "clang-tidy: nothing found"
