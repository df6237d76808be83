#!/bin/sh
# Checks finished wheels: metadata, the stable ABI, what is inside, and the oldest glibc that they run on.
#
#     sh packaging/check_wheels.sh FOLDER
set -eu
folder=$1
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools"
"$tools/bin/pip" install --quiet abi3audit auditwheel check-wheel-contents twine
PATH=$tools/bin:$PATH

twine check --strict "$folder"/*
for wheel in "$folder"/*.whl; do
    echo "$wheel: $(wc -c < "$wheel") bytes"
    # W002: cymbals.lib and cymbals.dll have equal names but for the suffix. W004, W009 and W010 are about the folders of
    # libraries, of headers and of tests of other languages, which are not packages.
    check-wheel-contents --ignore W004,W009,W010 "$wheel"
    case $wheel in
    *-abi3-*) abi3audit --strict --report "$wheel" > /dev/null && echo "$wheel: stable ABI only" ;;
    esac
    case $wheel in
    *linux*) auditwheel show "$wheel" ;;
    esac
done
