#!/bin/sh
# test_install.sh BUILD SCRATCH BUILD_TYPE CXX_FLAGS: installs the build, moves the result elsewhere, and builds and runs
# somebody else's program against it.
set -eu
build=$1
scratch=$2
here=$(cd "$(dirname "$0")" && pwd)

rm -rf "$scratch"
cmake --install "$build" --prefix "$scratch/first" >/dev/null
mv "$scratch/first" "$scratch/prefix"  # nothing may remember where it was installed

"$scratch/prefix/bin/fedselect" --version
ls "$scratch/prefix/share/fedselect/configs"
cmake -G Ninja -S "$here/consumer" -B "$scratch/build" -DCMAKE_PREFIX_PATH="$scratch/prefix" \
  -DCMAKE_BUILD_TYPE="$3" -DCMAKE_CXX_FLAGS="$4"
cmake --build "$scratch/build"
"$scratch/build/consumer"
if grep -rlI "$build" "$scratch/prefix"; then
  echo "the files above name the build folder" >&2
  exit 1
fi
