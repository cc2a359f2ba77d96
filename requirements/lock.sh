#!/usr/bin/env bash
# Lock every extra with hashes and without download addresses.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$1
compile() { "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header "${@:2}" -o "requirements/$1"; }
compile edge.txt pyproject.toml
compile runtime.txt pyproject.toml --extra server --extra simulators
compile dev.txt pyproject.toml --extra server --extra simulators --group dev --constraint requirements/runtime.txt
compile bench.txt pyproject.toml --extra server --group dev --group bench --constraint requirements/dev.txt
