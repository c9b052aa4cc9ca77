#!/usr/bin/env bash
# Writes requirements/*.txt anew from pyproject.toml: exact versions with the hashes of every wheel and sdist, good for
# Python 3.11–3.13 and every platform. `make lock` calls it; give UPGRADE=1 to move to the newest versions.
set -euo pipefail
cd "$(dirname "$0")/.."

upgrade=()
if [ -n "${UPGRADE:-}" ]; then upgrade=(--upgrade); fi

# No index or folder of this machine may find its way into a lock.
compile() {
    env -u UV_INDEX -u UV_FIND_LINKS .venv/bin/uv pip compile --quiet --universal --python-version 3.11 \
        --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$@"
}

# Everything first; the smaller sets are then held to its versions.
compile "${upgrade[@]}" --extra kit --extra relay --extra dev pyproject.toml -o requirements/testing.txt
compile --constraint requirements/testing.txt --extra kit --extra relay --extra build pyproject.toml \
    -o requirements/running.txt
compile --constraint requirements/testing.txt --extra kit pyproject.toml -o requirements/kit.txt
compile --constraint requirements/testing.txt --extra relay pyproject.toml -o requirements/relay.txt
compile --constraint requirements/testing.txt --extra sound pyproject.toml -o requirements/sound.txt
compile --constraint requirements/testing.txt --extra service pyproject.toml -o requirements/service.txt
compile "${upgrade[@]}" --constraint requirements/testing.txt requirements/pins.in -o requirements/pins.txt
compile "${upgrade[@]}" requirements/uv.in -o requirements/uv.txt
compile "${upgrade[@]}" requirements/fuzz.in -o requirements/fuzz.txt
compile "${upgrade[@]}" --no-deps --constraint requirements/testing.txt requirements/emulation.in \
    -o requirements/emulation.txt
