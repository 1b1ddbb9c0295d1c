#!/bin/sh
# scripts/test.sh: installs what is missing, builds, and runs every test: those of the program, with
# GPU kernels executed on the CPU (preset cuda-host: the release build otherwise), and those of the report.
set -eu
cd "$(dirname "$0")/.."

scripts/setup.sh --test
cmake --preset cuda-host
cmake --build --preset cuda-host
/usr/bin/python3 -m pytest -q -p no:cacheprovider tests/analysis
ctest --preset cuda-host -j "$(nproc)"
