#!/bin/sh
# scripts/coverage.sh: which lines of src/ the tests run. Writes build/coverage/report.html and ends with the total.
set -eu
cd "$(dirname "$0")/.."

scripts/setup.sh --ci
cmake --preset coverage
cmake --build --preset coverage
find build/coverage -name '*.gcda' -delete
ctest --preset coverage -j "$(nproc)" --quiet || echo "coverage: some tests failed; the numbers are those of what ran" >&2
gcovr --root . --filter src/ --exclude-throw-branches --gcov-ignore-parse-errors \
  --html-details build/coverage/report.html --print-summary build/coverage
