#!/bin/sh
# Runs the test suite with the lowest versions of all packages that pyproject.toml allows. Warnings are errors.
#
#     sh packaging/lowest.sh [OPTION ...]
#
# The options are for pytest. Takes about 10 minutes.
set -eu
checkout=$(realpath "$(dirname "$0")/..")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
. "$folder/venv/bin/activate"
pip install --quiet uv
git clone --quiet "$checkout" "$folder/cymbals"
cd "$folder/cymbals"
uv pip install --quiet --resolution lowest-direct -e ".[test]"
uv pip list | grep -E "^(click|matplotlib|numpy|pandas|pyarrow|pytest|scikit-learn|scipy|sphinx) "
pytest -W error "$@"
