# Everything a new machine needs: Python 3.11 or newer and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ENGINES ?= vllm sglang

.PHONY: help setup quickstart engines lint unit wheel test test-engines clean

help:
	@echo 'make quickstart    install, start both engines and print a frontier'
	@echo 'make test          lint, types, all tests, real engines included'
	@echo 'make test-engines  the tests that need many starts, and the soak'

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

unit: setup
	$(BIN)/pytest tests/unit tests/contract tests/integration

# The built wheel, in an environment that cannot see the source.
wheel: setup
	$(BIN)/python tests/check_wheel.py

test: lint engines wheel
	$(BIN)/pytest -m 'not many_starts'

test-engines: engines
	$(BIN)/pytest -m many_starts

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
