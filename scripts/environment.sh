#!/bin/sh
# Makes the virtual environment that the Makefile works in, or brings it up to date. Usage: environment.sh FOLDER [EXTRAS]
# EXTRAS are what to install beside the project (default: dev).
# PYTHON names the interpreter to make it from (default: python3).
set -eu

folder=$1
extras=${2:-dev}
python=${PYTHON:-python3}

if command -v uv >/dev/null 2>&1; then
    # uv refuses to touch an environment that is there already, unless it is told that this is meant.
    [ -x "$folder/bin/python" ] || uv venv --quiet --allow-existing --python "$python" "$folder"
    uv pip install --quiet --python "$folder/bin/python" --editable ".[$extras]"
    exit 0
fi

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "This project needs Python 3.10 or newer, and '$python' is not." >&2
    echo "Name another one: make PYTHON=python3.12 ..." >&2
    exit 1
fi
if ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
    if ! "$python" -m venv "$folder"; then
        # Debian and Ubuntu ship venv without the part that installs pip.
        echo "'$python' cannot make a virtual environment here. Either install uv, or what is missing" >&2
        echo "(on Debian and Ubuntu: apt-get install python3-venv), then try again." >&2
        exit 1
    fi
fi
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[$extras]"
