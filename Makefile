# Everything a new machine needs: Python 3.11 or newer and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ENGINES ?= vllm sglang transformers

.PHONY: help setup quickstart engines lint docs fast unit wheel checks test audit sbom lock lowest test-engines test-slow cluster-packages test-cluster test-cluster-full test-extras clean

help:
	@echo 'make quickstart    install, start both engines and print a frontier'
	@echo 'make test          lint, types, all tests, real engines included'
	@echo 'make docs          write the tables of the documentation that come from the code'
	@echo 'make test-engines  the tests that need many starts, and the soak'
	@echo 'make test-cluster  the short tests on a private Slurm cluster; test-cluster-full adds those that take minutes'
	@echo 'make test-slow     the rest of the matrices of deaths and starts, half an hour; see docs/development.md'
	@echo 'make test-extras   the notebooks of the documentation, executed in an environment of their own'
	@echo 'make audit         known weaknesses of what we depend on; also: make sbom, make lock'
	@echo 'make lowest        the fast tests over the lowest versions that are allowed'

setup: $(READY)

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@

quickstart: setup
	$(BIN)/tts-compare quickstart

# Built side by side; a whole one is found again at once.
engines: setup
	$(BIN)/tts-compare engines install $(ENGINES)

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The tables that are made of declarations.
docs: setup
	$(BIN)/python -m tests.docs_tables
	$(BIN)/python -m tts_compare.cli.run_format

# Processes side by side: nothing in these tests depends on time.
fast: setup
	$(BIN)/pytest --numprocesses=auto tests/unit tests/contract

unit: fast
	$(BIN)/pytest -m 'not many_starts' tests/integration

# The built wheel, in an environment that cannot see the source.
wheel: setup
	$(BIN)/python tests/check_wheel.py

checks: lint fast wheel

# The engines install, which waits for the network and the disk, beside all that needs no engine.
test: setup
	$(MAKE) --jobs=2 --output-sync=recurse checks engines
	$(BIN)/pytest -m 'not many_starts and not slow' tests/integration tests/engines

test-engines: engines
	$(BIN)/pytest -m 'many_starts and not slow' --ignore=tests/cluster

# In an environment of its own: a notebook's kernel brings packages that nothing else here needs.
EXTRAS := $(VENV)/extras

$(EXTRAS)/.ready: pyproject.toml
	$(PYTHON) -m venv $(EXTRAS)
	$(EXTRAS)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(EXTRAS)/bin/python -m pip install --quiet --editable . --group extras
	@touch $@

test-extras: $(EXTRAS)/.ready
	$(EXTRAS)/bin/pytest -m extras tests/extras

test-slow: engines
	$(BIN)/pytest -m slow --ignore=tests/cluster

# Nothing is configured or started: the tests run a cluster of their own.
cluster-packages:
	@command -v slurmctld >/dev/null && command -v munged >/dev/null || \
	{ command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	  slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge libmunge2 >/dev/null; } || \
	echo 'Slurm could not be installed: the tests on a cluster will be skipped with that reason' >&2

test-cluster: engines cluster-packages
	$(BIN)/pytest -m 'not many_starts and not slow' tests/cluster

test-cluster-full: engines cluster-packages
	$(BIN)/pytest tests/cluster

# In an environment of their own: in ours they would be part of what they look at.
TOOLS := $(VENV)/tools

$(TOOLS)/.ready:
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet 'pip-audit>=2.7' 'cyclonedx-bom>=4.5'
	@touch $@

# The lowest versions that pyproject.toml allows, on the oldest Python.
lowest: setup
	$(BIN)/python tests/lowest.py > $(VENV)/lowest.txt
	$(PYTHON) -m venv $(VENV)/lowest
	$(VENV)/lowest/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(VENV)/lowest/bin/python -m pip install --quiet --editable . --group dev --constraint $(VENV)/lowest.txt
	$(VENV)/lowest/bin/pytest tests/unit tests/contract

audit: setup $(TOOLS)/.ready
	$(BIN)/python tests/check_advisories.py $(TOOLS)/bin/pip-audit $(AUDIT)

sbom: setup $(TOOLS)/.ready
	$(TOOLS)/bin/cyclonedx-py environment --output-reproducible --output-file sbom.json --pyproject pyproject.toml $(BIN)/python

lock: setup
	$(BIN)/python -m pip lock --quiet --output pylock.toml .

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
