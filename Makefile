# Staybolt: every command a newcomer needs. Needs Python 3.11 or newer, make and git; fetches the rest itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TOOLS := .tools
UV := $(TOOLS)/bin/uv
export UV_PYTHON_DOWNLOADS := never
export UV_LINK_MODE := copy
# Bytecode once at install: the demo starts seven processes, and each would compile for itself.
export UV_COMPILE_BYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test check fix bench docs servers lock screenshots clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

# uv comes from the registry when it is not on the PATH already.
$(UV):
	@if command -v uv >/dev/null 2>&1; then \
	  mkdir -p $(TOOLS)/bin && ln -sf "$$(command -v uv)" $(UV); \
	else \
	  $(PYTHON) -m venv $(TOOLS) && $(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check uv; \
	fi

$(BIN)/python: | $(UV)
	@$(UV) venv --quiet --python $(PYTHON) $(VENV)

# Run time only: enough for the demo. Locked and hashed.
$(VENV)/.runtime: requirements/runtime.txt pyproject.toml | $(BIN)/python
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/runtime.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

# What the benchmarks measure against.
$(VENV)/.bench: $(VENV)/.dev requirements/bench.txt
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/bench.txt
	@touch $@

setup: $(VENV)/.dev ## prepare .venv with everything needed for development

demo: $(VENV)/.runtime ## simulated plant to renewal risk, in your browser (make demo ARGS=--check to verify and stop)
	@$(BIN)/staybolt demo $(ARGS)

servers: $(VENV)/.dev ## install the real servers the tests use (Debian packages and npm)
	@bash tests/servers/setup.sh

test: $(VENV)/.dev servers ## run every test, against real servers where they can be had
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: $(VENV)/.dev ## format, lint, types, contracts, docs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/numpydoc lint $$(find edge_agent ingest analytics api simulators -name '*.py' -not -path '*/migrations/*')
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m pytest -q tests/docs tests/architecture

fix: $(VENV)/.dev ## format and mend what can be mended by machine
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.bench ## run every benchmark (one: .venv/bin/python -m tests.benchmarks NAME)
	@$(BIN)/python -m tests.benchmarks

docs: $(VENV)/.dev ## rewrite the generated reference pages
	@$(BIN)/python -m tests.docs.generate

screenshots: $(VENV)/.dev servers ## pictures for the README, made from the running demo
	@$(BIN)/python -m tests.screenshots

lock: $(UV) ## renew the locked dependencies
	@bash requirements/lock.sh $(UV)

clean: ## remove everything that make made
	rm -rf $(VENV) $(TOOLS) .servers .demo .cache dist
