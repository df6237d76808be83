#!/bin/sh
# Builds the wheel for manylinux x86-64 with cibuildwheel in a container, and runs the whole test suite there.
#
#     sh packaging/manylinux.sh FOLDER [IMAGE]
#
# The wheel goes to FOLDER. IMAGE is one that packaging/image.sh has made (default: cymbals-manylinux). Needs root and podman
# with runc; takes about 25 minutes. The commit at HEAD is built, not the working tree.
set -eu
folder=$(realpath "$1") image=${2:-cymbals-manylinux}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone --quiet "$(dirname "$0")/.." "$work/cymbals"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet cibuildwheel
# cibuildwheel downloads virtualenv as one file from GitHub. Where that cannot be reached, the file is made from PyPI's package.
version=$(sed -n 's/^default = { version = "\([^"]*\)".*/\1/p' "$work"/venv/lib/python3*/site-packages/cibuildwheel/resources/virtualenv.toml | tail -1)
"$work/venv/bin/pip" install --quiet --target "$work/virtualenv" "virtualenv==$version"
export CIBW_CACHE_PATH="$work/cache"
mkdir "$CIBW_CACHE_PATH"
python3 -m zipapp "$work/virtualenv" -m virtualenv.__main__:run_with_catch -o "$CIBW_CACHE_PATH/virtualenv-$version.pyz"
cd "$work/cymbals"
# On some machines a container must not have higher limits than these.
limits="--ulimit=nofile=16384:16384 --ulimit=nproc=16384:16384"
export CIBW_CONTAINER_ENGINE="podman; create_args: --network=host --runtime=runc $limits; disable_host_mount: True"
export CIBW_MANYLINUX_X86_64_IMAGE="localhost/$image" CIBW_BUILD=cp311-manylinux_x86_64 AUDITWHEEL_PLAT=auto
export CIBW_ENVIRONMENT_PASS_LINUX=AUDITWHEEL_PLAT
export CIBW_DEPENDENCY_VERSIONS=latest  # a mirror of PyPI can lack a version that cibuildwheel pins
"$work/venv/bin/cibuildwheel" --platform linux --output-dir "$folder"
