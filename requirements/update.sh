#!/bin/sh
# Recreate the lock files from pyproject.toml, for Linux and macOS and every supported Python. Needs uv
# (`pip install uv`). Locked versions stay as they are; `requirements/update.sh --upgrade-package NAME` raises one.
set -eu
cd "$(dirname "$0")/.."

lock() { # the lock file's name, and what it takes from pyproject.toml
    name=$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --custom-compile-command requirements/update.sh --output-file "requirements/$name.lock" "$@"
}

lock runtime pyproject.toml "$@"
# The others are installed beside it, so they hold the same versions of what they share.
lock development pyproject.toml --group local --group dev --constraint requirements/runtime.lock "$@"
lock bench --group bench --constraint requirements/development.lock "$@"
lock go --group go "$@"
