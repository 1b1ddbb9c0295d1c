#!/bin/sh
# scripts/quickstart.sh: installs what is missing, builds, compares the methods of configs/quickstart.toml on all cores, and
# writes the report. Run it again and it replaces runs/quickstart.
set -eu
cd "$(dirname "$0")/.."
name=quickstart

scripts/setup.sh
[ -f build/release/build.ninja ] || cmake --preset release
cmake --build --preset release --target fedselect

# One rank a core (two threads of a core are no gain), and no more than there are clients.
clients=10
cores=$(lscpu -p=CORE,SOCKET 2>/dev/null | grep -v '^#' | sort -u | wc -l)
ranks=$(nproc)
if [ "$cores" -gt 0 ] && [ "$cores" -lt "$ranks" ]; then ranks=$cores; fi
if [ "$clients" -lt "$ranks" ]; then ranks=$clients; fi

if [ "$(id -u)" -eq 0 ]; then # a container, most likely; Open MPI wants to be told twice
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
if [ -e "runs/$name" ]; then
  echo "quickstart: replacing runs/$name of an earlier run"
  rm -rf "runs/$name"
fi
mpirun --oversubscribe -n "$ranks" build/release/src/app/fedselect run configs/quickstart.toml --name "$name"

/usr/bin/python3 analysis/report "runs/$name"
