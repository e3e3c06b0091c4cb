# Two commands: `make demo` and `make test`. Everything happens in .venv; nothing else is touched.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test check check-full lint types servers bench clean

demo: .venv/core.stamp
	@$(BIN)/codeact demo

test: .venv/dev.stamp
	$(BIN)/pytest

lint: .venv/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/dev.stamp
	$(BIN)/mypy

# The real MCP servers of tests/mcp and of the benchmark; needs npm. Without them these tests are left out.
servers: .venv/dev.stamp
	$(BIN)/python -m tests.mcp.installed

# What CI runs.
check: lint types test

# Every probe in every tier, as root and as an ordinary user, over ipc and TCP, in forks, on hosts emulated to be poorer, and
# its control; about two hours. And hosts killed at 200 moments of their runs; half an hour. The tables are committed.
check-full: check
	$(BIN)/python -m tests.sandbox.probes.run --tier A B C --user root ordinary --transport ipc tcp --start cold fork \
		--poorer docker no-userns no-landlock --control --markdown > docs/probes.md.new
	mv docs/probes.md.new docs/probes.md
	CODEACT_FULL=1 $(BIN)/pytest tests/sandbox/test_useful_inside.py
	$(BIN)/python -m tests.kills.run --kills 200 --markdown > docs/kills.md.new
	mv docs/kills.md.new docs/kills.md

bench: .venv/dev.stamp
	$(BIN)/python benchmarks/peer.py
	$(BIN)/python benchmarks/run.py

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "no Python >= 3.11 found; install one, or say make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv .venv || { echo "venv is missing: on Debian and Ubuntu, apt install python3-venv"; exit 1; }

.venv/core.stamp: pyproject.toml | .venv/bin/python
	$(PIP) -e .
	@touch $@

.venv/dev.stamp: pyproject.toml | .venv/bin/python
	$(PIP) -e '.[dev]'
	@touch $@ .venv/core.stamp

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis codeact-demo
