#!/bin/sh
# scripts/sanitizers.sh [CTEST-ARGUMENT...]: builds with AddressSanitizer and UndefinedBehaviorSanitizer and runs the tests, all
# but those against PyTorch and in Slurm, or those that the arguments leave; then what has threads under ThreadSanitizer. The
# whole suite takes about an hour on two cores.
set -eu
cd "$(dirname "$0")/.."

cmake --preset asan
cmake --build --preset asan
ctest --preset asan -j "$(nproc)" -LE "parity|slurm" "$@"

cmake --preset tsan
cmake --build --preset tsan --target watchdog_test comm_test copy_threads_test
ctest --preset tsan -L threads
