#!/bin/sh
# Builds cymbals for a free-threaded Python and runs tests there, without the GIL.
#
#     sh packaging/free_threaded.sh PYTHON
#
# packaging/python.sh with the option --disable-gil compiles such a PYTHON. The tests are those that need only packages which
# have wheels for it. Takes about 5 minutes. The commit at HEAD is built.
set -eu
python=$1
checkout=$(realpath "$(dirname "$0")/..")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
. "$folder/venv/bin/activate"
pip install --quiet --only-binary=:all: 'Cython>=3.1' hypothesis joblib numpy pandas pyarrow pycparser pytest scipy \
    'setuptools>=77' threadpoolctl
git clone --quiet "$checkout" "$folder/cymbals"
cd "$folder/cymbals"
pip install --quiet --no-build-isolation --no-deps -e .
python -c "import sys, cymbals, pandas, pyarrow, scipy.sparse; assert not sys._is_gil_enabled(); print(sys.version)"
python -m pytest -q -m "not build" tests/base tests/core tests/data tests/metrics tests/model tests/solve
