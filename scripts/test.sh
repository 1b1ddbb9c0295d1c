#!/bin/sh
# scripts/test.sh: installs what is missing, builds, and runs every test of the release preset and of the report.
set -eu
cd "$(dirname "$0")/.."

scripts/setup.sh --test
cmake --preset release
cmake --build --preset release
/usr/bin/python3 -m pytest -q -p no:cacheprovider tests/analysis
ctest --preset release -j "$(nproc)"
