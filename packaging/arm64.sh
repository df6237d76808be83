#!/bin/sh
# Builds the wheel for Linux on arm64 with a cross compiler, repairs it, and tests it in an arm64 system under qemu.
#
#     sh packaging/arm64.sh FOLDER prepare          makes the system in FOLDER (7 minutes)
#     sh packaging/arm64.sh FOLDER c                builds and runs the C programs of tests/c
#     sh packaging/arm64.sh FOLDER wheel            builds the wheel, repairs and installs it
#     sh packaging/arm64.sh FOLDER test PATH ...    runs pytest on these paths of the checkout
#     sh packaging/arm64.sh FOLDER demo             runs `cymbals demo`
#
# Needs root and Debian's packages binfmt-support, debootstrap, g++-aarch64-linux-gnu and qemu-user-static. Programs run about
# 15 times slower than on the machine itself, so give `test` a part of the suite at a time. Tests that build something from
# the source code are skipped there. Tests of real data find it where they do here ($CYMBALS_DATA).
set -eu
folder=$(realpath -m "$1") what=$2
shift 2
checkout=$(realpath "$(dirname "$0")/..")
root=$folder/system data=$(realpath -m "${CYMBALS_DATA:-$checkout/../shared/data}")

# inside COMMAND ...: runs a command in the arm64 system. The mounts end with the command.
inside() {
    unshare --mount sh -euc '
        mount --bind /proc "$0/proc"
        mount --bind /dev "$0/dev"
        [ ! -d "$1" ] || mount --bind "$1" "$0/data"
        shift
        exec chroot "$0" "$@"' "$root" "$data" \
        env -i HOME=/root LANG=C.UTF-8 PATH=/opt/site/bin:/usr/bin:/bin PYTHONPATH=/opt/site PYTHONDONTWRITEBYTECODE=1 \
        CYMBALS_EMULATED=1 OMP_WAIT_POLICY=passive OPENBLAS_NUM_THREADS=1 CYMBALS_DATA=/data "$@"
}

prepare() {
    [ -e /proc/sys/fs/binfmt_misc/register ] || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    update-binfmts --enable qemu-aarch64
    mkdir -p "$folder"
    debootstrap --arch=arm64 --variant=minbase --include=binutils,g++,python3,python3-dev bookworm "$root"
    mkdir "$root/data"
    # The packages that the tests need. pip on this machine is fast, and can install for another processor.
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet build
    set -- $(for version in 17 24 26 27 28 31 34; do echo --platform=manylinux_2_${version}_aarch64; done)
    "$folder/venv/bin/python" - "$checkout/pyproject.toml" > "$folder/requirements.txt" <<'PYTHON'
import sys, tomllib
project = tomllib.load(open(sys.argv[1], "rb"))["project"]
extras = project["optional-dependencies"]
wanted = project["dependencies"] + extras["lab"] + extras["docs"] + extras["test"]
print("\n".join(requirement for requirement in wanted if not requirement.startswith("cymbals")))
PYTHON
    "$folder/venv/bin/pip" install --quiet --only-binary=:all: "$@" --platform=manylinux2014_aarch64 --python-version=3.11 \
        --implementation=cp --target="$root/opt/site" -r "$folder/requirements.txt"

    # Old symbols and an old libgomp let the wheel run on systems that are older than this one.
    for package in libc6 libgomp1; do
        python3 "$checkout/packaging/debian.py" arm64 bullseye $package "$root/old"
    done
}

wheel() {
    rm -rf "$folder/source" "$root/wheel" "$root/opt/tests" "$root"/opt/site/cymbals*
    git clone --quiet "$checkout" "$folder/source"
    cd "$folder/source"
    git rev-parse HEAD
    export _PYTHON_HOST_PLATFORM=linux-aarch64 CC=aarch64-linux-gnu-gcc CXX=aarch64-linux-gnu-g++
    export OBJCOPY=aarch64-linux-gnu-objcopy CYMBALS_DEBUG_DIR="$folder/debug"
    export CFLAGS="-I$root/usr/include/python3.11 -I$root/usr/include"
    export LDFLAGS="$root/old/lib/aarch64-linux-gnu/libpthread.so.0"
    "$folder/venv/bin/python" -m build --wheel --outdir "$root/wheel" .
    cp -r tests pyproject.toml "$root/opt"
    wheel=$(cd "$root/wheel" && echo cymbals-*linux_aarch64.whl)
    inside LD_LIBRARY_PATH=/old/usr/lib/aarch64-linux-gnu python3 -m auditwheel repair -w /wheel/repaired "/wheel/$wheel"
    inside python3 -m zipfile -e "/wheel/repaired/$(ls "$root/wheel/repaired")" /opt/site
    chmod +x "$root"/opt/site/cymbals.libs/*
    inside python3 -c "import cymbals; print(cymbals.doctor())"
}

case $what in
prepare) prepare ;;
wheel) wheel ;;
c)
    CXX=aarch64-linux-gnu-g++ python3 "$checkout/csrc/compile.py" "$folder/c"
    python3 "$checkout/packaging/c_programs.py" "$folder/c" --cc aarch64-linux-gnu-gcc --simd baseline \
        --run "qemu-aarch64-static -L /usr/aarch64-linux-gnu"
    ;;
test) inside sh -c 'cd /opt && python3 -m pytest -q -p no:cacheprovider "$@"' sh "$@" ;;
demo) inside python3 -m cymbals demo ;;
*) exit 2 ;;
esac
