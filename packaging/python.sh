#!/bin/sh
# Compiles CPython from the source package of a Debian release, in a folder that debootstrap made.
#
#     sh packaging/python.sh ROOT RELEASE PACKAGE FOLDER [OPTION ...]
#
# FOLDER is where Python goes, seen from inside ROOT. The options are for configure: --disable-gil makes the free-threaded
# build. ROOT needs gcc, make, xz and the headers of Python's libraries. With ROOT=/ the system itself gets the Python.
set -eu
root=$1 release=$2 package=$3 folder=$4
shift 4
work=$(mktemp -d -p "$root/tmp")
trap 'rm -rf "$work"' EXIT
python3 "$(dirname "$0")/debian.py" source "$release" "$package" "$work"
# configure tries semaphores, which need /dev/shm; a new system has none, so it is told the answers
known="ac_cv_posix_semaphores_enabled=yes ac_cv_broken_sem_getvalue=no"
chroot "$root" sh -euc "cd /tmp/${work##*/} && ./configure --quiet --prefix=$folder $known $* && make -s -j$(nproc) && make -s install"
for name in python pip; do
    [ -e "$root$folder/bin/$name" ] || ln -s "${name}3" "$root$folder/bin/$name"
done
chroot "$root" "$folder/bin/python" -m pip --version
