#!/bin/sh
# Runs packaging/pythons.sh with Pythons that are newer than those of this machine, in a system made by debootstrap.
#
#     sh packaging/newer.sh FOLDER WHEEL PYTHON [PYTHON ...]
#
# FOLDER is where the system goes, or where an earlier call has made it. Each PYTHON is a package of the release below, such as
# python3.14. Needs root and debootstrap. Tests of real data are left out.
set -eu
release=forky
root=$(realpath -m "$1") wheel=$(realpath "$2")
shift 2
checkout=$(realpath "$(dirname "$0")/..")
if [ ! -d "$root" ]; then
    packages=$(for python in "$@"; do echo ",$python,$python-dev,$python-venv"; done | tr -d '\n')
    # The script of another release makes this one too. An older debootstrap does not know the name of the release.
    debootstrap --variant=minbase --include="ca-certificates,g++,git,make$packages" "$release" "$root" \
        http://deb.debian.org/debian /usr/share/debootstrap/scripts/sid
fi
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/" # pip in the system trusts whom this machine trusts
printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' > "$root/etc/pip.conf"
rm -rf "$root/root/cymbals"
git clone --quiet "$checkout" "$root/root/cymbals"
cp "$wheel" "$root/root"
unshare --mount sh -c 'mount --bind /proc "$0/proc" && mount --bind /dev "$0/dev" && exec chroot "$0" "$@"' "$root" \
    env -i HOME=/root LANG=C.UTF-8 PATH=/usr/bin:/bin CYMBALS_DATA=/absent \
    sh /root/cymbals/packaging/pythons.sh "/root/${wheel##*/}" "$@"
