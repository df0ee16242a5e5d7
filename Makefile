# Set up, try and test medical_team. `make help` lists the targets.
#
#   make quickstart                     the whole thing, small, on this machine
#   make test                           lint, types, import contract, tests
#   make quickstart TORCH=torch==2.9.1  with another torch

TORCH ?= torch==2.13.0
PYTHON ?= python3
# Tests compare with upstream's own functions. Its pins exclude ours, so it comes without its dependencies.
OPENRLHF := openrlhf==0.11.2 pylatexenc
# Holds the script of axe-core, which looks for what shuts people out of the report's page. Its own code is not used.
AXE := axe-playwright-python==0.1.8
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.PHONY: help quickstart test lint types imports tests clean

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed, $(PYTHON) is older. Name one: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# torch first and by itself, so that the build which TORCH names is the one that everything else finds.
$(VENV)/.package: $(VENV)/.python pyproject.toml
	$(PIP) install '$(TORCH)'
	$(PIP) install -e '.[train,eval,judge]'
	@touch $@

$(VENV)/.dev: $(VENV)/.package
	$(PIP) install -e '.[train,eval,judge,dev]'
	$(PIP) install --no-deps $(OPENRLHF) $(AXE)
	@touch $@

quickstart: $(VENV)/.package
	$(BIN)/medical-team quickstart

test: lint types imports tests

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/pyright --pythonpath $(BIN)/python

imports: $(VENV)/.dev
	$(BIN)/lint-imports --no-cache

tests: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

clean:
	rm -rf $(VENV) build dist
