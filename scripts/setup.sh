#!/bin/sh
# scripts/setup.sh [--test | --ci]: installs the Debian packages that building and running needs, those of the tests, or
# those of the continuous integration too. Installs only what is missing, so it may run again and again.
set -eu

packages="cmake ninja-build g++ git ca-certificates libopenmpi-dev openmpi-bin libhdf5-openmpi-dev
  libfmt-dev libspdlog-dev libtomlplusplus-dev libcli11-dev nlohmann-json3-dev zlib1g-dev libpng-dev libjpeg62-turbo-dev librandom123-dev libxxhash-dev libssl-dev libboost-dev libgtest-dev libeigen3-dev
  dataset-fashion-mnist python3 python3-numpy python3-h5py python3-matplotlib python3-pandas"
test_packages="libboost-context-dev python3-pytest python3-torch python3-pil"
ci_packages="ccache clang-format clang-tidy gcovr shellcheck slurmctld slurmd slurm-client munge libsimgrid-dev"

case "${1:-}" in
  "") ;;
  --test) packages="$packages $test_packages" ;;
  --ci) packages="$packages $test_packages $ci_packages" ;;
  *)
    echo "usage: scripts/setup.sh [--test | --ci]" >&2
    exit 2
    ;;
esac

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  echo "scripts/setup.sh: this system has no apt-get (it is not Debian or Ubuntu): install what corresponds to these" \
    "Debian packages, or load your cluster's modules, then build with cmake --preset release:" >&2
  # shellcheck disable=SC2086 # one word a package
  printf '  %s\n' $packages >&2
  exit 2
fi

missing=""
for package in $packages; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing="$missing $package"
done
if [ -z "$missing" ]; then
  echo "setup: all packages are there"
  exit 0
fi

if [ "$(id -u)" -eq 0 ]; then
  as_root=""
elif command -v sudo >/dev/null; then
  as_root="sudo"
else
  echo "scripts/setup.sh: packages are missing and you are not root, nor is there sudo; ask an administrator for:" \
    "apt-get install$missing" >&2
  exit 2
fi
echo "setup: installing$missing"
$as_root apt-get -qq update
# shellcheck disable=SC2086 # one word a package
$as_root env DEBIAN_FRONTEND=noninteractive \
  apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends $missing >/dev/null
