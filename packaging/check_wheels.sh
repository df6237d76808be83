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
    # W009 and W010: the folder cymbals.libs, to which auditwheel copies libgomp, is not a package
    check-wheel-contents --ignore W009,W010 "$wheel"
    case $wheel in
    *-abi3-*) abi3audit --strict --report "$wheel" > /dev/null && echo "$wheel: stable ABI only" ;;
    esac
    case $wheel in
    *linux*) auditwheel show "$wheel" ;;
    esac
done
