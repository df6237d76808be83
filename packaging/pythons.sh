#!/bin/sh
# Runs the test suite with one wheel on several Pythons. The wheel is for the stable ABI, so it must work on all of them.
#
#     sh packaging/pythons.sh WHEEL PYTHON [PYTHON ...]
#
# Each PYTHON is an interpreter that can make virtual environments. Tests that build a wheel are left out. Takes about 8 minutes
# for each Python. The tests are those of the commit at HEAD.
set -eu
wheel=$(realpath "$1")
shift
checkout=$(realpath "$(dirname "$0")/..")
status=0
for python in "$@"; do
    folder=$(mktemp -d)
    "$python" -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet "cymbals[test] @ file://$wheel"
    # A clone has no compiled files, so the tests import the installed wheel.
    git clone --quiet "$checkout" "$folder/checkout"
    cd "$folder/checkout"
    "$folder/venv/bin/python" -m pytest -q -p no:cacheprovider -m "not build" tests || status=$?
    "$folder/venv/bin/python" -VV
    cd /
    rm -rf "$folder"
done
exit $status
