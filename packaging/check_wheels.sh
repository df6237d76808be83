#!/bin/sh
# Checks finished wheels: metadata, the stable ABI, what is inside, and whether those for Linux run where their names say.
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
    *-abi3-*)
        abi3audit --strict --report "$wheel" > /dev/null
        echo "$wheel: stable ABI only"
        ;;
    esac
    case $wheel in
    *linux_*)
        # "...-manylinux_2_24_x86_64.whl" must run on every system for which auditwheel finds it fit
        platform=${wheel##*-}
        platform=${platform%%.*}
        auditwheel show "$wheel"
        auditwheel show "$wheel" | tr '\n' ' ' | grep -q "following platform tag: \"$platform\""
        echo "$wheel: its name is right"
        ;;
    esac
done
