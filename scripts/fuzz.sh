#!/bin/sh
# scripts/fuzz.sh [SECONDS [TARGET...]]: looks for files that break the readers, SECONDS (600) for each target of
# tests/fuzz (all of them). Needs clang and its libFuzzer: Debian's packages clang and libclang-rt-14-dev.
# A find, written to build/fuzz/finds/TARGET, is a crash, an undefined operation, a leak, a call that takes over 10 s, an
# exception other than InputError, a control character in a message, or an allocation over 520 MiB: inputs have at most 64 KiB,
# no stream of deflate, which grows most of all that is read, grows by more than 1032, and a byte becomes a number of 8 at most. Inputs that reach something new gather in build/fuzz/grown/TARGET; the
# smallest set that reaches as much comes into the tests by
#   build/fuzz/tests/fuzz/fuzz_TARGET -merge=1 tests/fuzz/corpus/TARGET build/fuzz/grown/TARGET
set -eu
cd "$(dirname "$0")/.."

seconds=${1:-600}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- config idx cifar npy leaf image safetensors hdf5 checkpoint audit

cmake --preset fuzz >build/fuzz-configure.log 2>&1 || { cat build/fuzz-configure.log >&2; exit 1; }
cmake --build --preset fuzz

# Input files change thousands of times a second: in memory.
TMPDIR=$(mktemp -d /dev/shm/fedselect_fuzz_XXXXXX)
export TMPDIR ASAN_OPTIONS="allocator_may_return_null=0:quarantine_size_mb=32"
trap 'rm -rf "$TMPDIR"' EXIT

failed=0
for target; do
  grown=build/fuzz/grown/$target
  finds=build/fuzz/finds/$target
  log=build/fuzz/$target.log
  mkdir -p "$grown" "$finds"
  build/fuzz/tests/fuzz/fuzz_"$target" "$grown" "tests/fuzz/corpus/$target" "-artifact_prefix=$finds/" \
    "-max_total_time=$seconds" -max_len=65536 -timeout=10 -malloc_limit_mb=520 -rss_limit_mb=2048 -print_final_stats=1 \
    >"$log" 2>&1 || failed=1
  stat() {
    sed -n "s/^stat::$1: *//p" "$log"
  }
  echo "$target: $(stat number_of_executed_units) runs, $(stat average_exec_per_sec) a second, $(stat peak_rss_mb) MB at" \
    "most, $(find "$finds" -type f | wc -l) finds"
done
if [ "$failed" -ne 0 ]; then
  echo "scripts/fuzz.sh: something was found: see build/fuzz/finds and build/fuzz/*.log" >&2
  exit 1
fi
