# Set up, try and test medical_team. `make help` lists the targets.
#
#   make quickstart                     the whole thing, small, on this machine
#   make test                           lint, types, import contract, tests
#   make test-latest                    the same with the newest releases that pyproject.toml allows
#   make vllm                           an environment of its own with vLLM for a CPU: .venv-vllm
#   make test-vllm                      the tests that need vLLM, in that environment
#   make openrlhf                       an environment of its own with OpenRLHF, Ray, vLLM and DeepSpeed for a CPU: .venv-openrlhf
#   make test-openrlhf                  whole trainings with OpenRLHF in that environment
#   make test-adapters                  types and tests that need evaluation harnesses or trackers, in an environment of their own: .venv-harnesses
#   make test-verifiers                 types and tests that need verifiers, in an environment of its own: .venv-verifiers
#   make test-medhelm                   types and tests that need MedHELM, in an environment of its own: .venv-medhelm
#   make lock                           choose the exact versions anew: requirements/*.txt
#   make api                            the modules' pages from their docstrings: build/api
#   make clean                          remove the environments and what was built
#   make quickstart TORCH=torch==2.9.1  with another torch
#   make test PYTHON=python3.13         with another Python, after `make clean`

TORCH ?= torch==2.13.0
PYTHON ?= python3
VENV := .venv
HARNESSES_VENV := .venv-harnesses
LATEST_VENV := .venv-latest
LOCK_VENV := .venv-lock
MEDHELM_VENV := .venv-medhelm
OPENRLHF_VENV := .venv-openrlhf
VERIFIERS_VENV := .venv-verifiers
VLLM_VENV := .venv-vllm
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
HARNESSES_PIP := $(HARNESSES_VENV)/bin/python -m pip --disable-pip-version-check -q
LATEST_PIP := $(LATEST_VENV)/bin/python -m pip --disable-pip-version-check -q
MEDHELM_PIP := $(MEDHELM_VENV)/bin/python -m pip --disable-pip-version-check -q
OPENRLHF_PIP := $(OPENRLHF_VENV)/bin/python -m pip --disable-pip-version-check -q
VERIFIERS_PIP := $(VERIFIERS_VENV)/bin/python -m pip --disable-pip-version-check -q
VLLM_PIP := $(VLLM_VENV)/bin/python -m pip --disable-pip-version-check -q
# One lock for every Python that pyproject.toml allows and every system, without torch: TORCH chooses that.
COMPILE := $(LOCK_VENV)/bin/uv pip compile --config-file requirements/uv.toml --universal --python-version 3.11 \
	--upgrade --no-emit-package torch --no-annotate --no-emit-index-url --custom-compile-command 'make lock' -q
EXTRAS := --extra train --extra eval --extra judge
# Beside torch: its relatives for pictures and sound, which don't import beside a torch for a CPU, and the compiler for GPUs.
NOT_BESIDE_TORCH := $(foreach name,torchvision torchaudio torchcodec triton,--no-emit-package $(name))

.PHONY: help quickstart test test-latest vllm test-vllm openrlhf test-openrlhf test-adapters test-verifiers test-medhelm lint types imports tests api lock clean

help:
	@sed -n '/^$$/q;s/^# \{0,1\}//p' Makefile

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed, $(PYTHON) is older. Name one: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# Exactly what the lock names. torch comes after it and finds all that it needs besides CUDA, whichever build it is.
$(VENV)/.package: $(VENV)/.python pyproject.toml requirements/package.txt
	$(PIP) install --no-deps -r requirements/package.txt
	$(PIP) install '$(TORCH)'
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.package requirements/test.txt
	$(PIP) install --no-deps -r requirements/test.txt
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

api: $(VENV)/.dev
	$(BIN)/python scripts/write_api_pages.py build/api

# The stamps tell the inner make that everything is installed.
test-latest: TORCH = torch
test-latest:
	$(PYTHON) -m venv --clear $(LATEST_VENV)
	$(LATEST_PIP) install '$(TORCH)' -r requirements/build.in -e '.[train,eval,judge,parquet,docs,dev]'
	$(LATEST_PIP) install --no-deps -r requirements/test.in
	touch $(LATEST_VENV)/.python $(LATEST_VENV)/.package $(LATEST_VENV)/.dev
	$(MAKE) VENV=$(LATEST_VENV) test; status=$$?; \
		$(LATEST_VENV)/bin/python scripts/compare_with_lock.py && exit $$status

# vLLM wants another transformers than the lock above has, so it has a lock and an environment of its own. Its package
# names a torch that no registry has beside PyTorch's own index: hence torch first, and the rest without dependencies.
$(VLLM_VENV)/.package: pyproject.toml requirements/vllm.txt
	$(PYTHON) -m venv --clear $(VLLM_VENV)
	$(VLLM_PIP) install '$(TORCH)'
	$(VLLM_PIP) install --no-deps -r requirements/vllm.txt
	$(VLLM_PIP) install --no-deps --no-build-isolation -e .
	@touch $@

vllm: $(VLLM_VENV)/.package

test-vllm: $(VLLM_VENV)/.package
	$(VLLM_VENV)/bin/python -m pytest -n 0 $(wildcard tests/*/test_vllm*.py)

# OpenRLHF names its own releases of transformers and vLLM. DeepSpeed is built without its kernels: the one or two that a
# CPU needs are compiled when they are first used.
$(OPENRLHF_VENV)/.package: pyproject.toml requirements/openrlhf.txt
	$(PYTHON) -m venv --clear $(OPENRLHF_VENV)
	DS_ACCELERATOR=cpu DS_BUILD_OPS=0 $(OPENRLHF_PIP) install --use-pep517 --no-deps -r requirements/openrlhf.txt
	$(OPENRLHF_PIP) install '$(TORCH)'
	$(OPENRLHF_PIP) install --no-deps --no-build-isolation -e .
	@touch $@

openrlhf: $(OPENRLHF_VENV)/.package

test-openrlhf: $(OPENRLHF_VENV)/.package
	$(OPENRLHF_VENV)/bin/python -m pytest -n 0 tests/engines/openrlhf_whole

# The three targets below also check the types of what only their environment can read: pyright.*.json names it. pyright gets no
# files here, since it passes over those that pyproject.toml excludes, and says so in no exit code.
#
# Inspect, lm-evaluation-harness and the trackers want other releases than the lock above has. No torch: a model is scripted or served.
$(HARNESSES_VENV)/.package: pyproject.toml requirements/harnesses.txt
	$(PYTHON) -m venv --clear $(HARNESSES_VENV)
	$(HARNESSES_PIP) install --no-deps -r requirements/harnesses.txt
	$(HARNESSES_PIP) install --no-deps --no-build-isolation -e .
	@touch $@

test-adapters: $(HARNESSES_VENV)/.package $(VENV)/.dev
	$(BIN)/pyright -p pyright.harnesses.json --pythonpath $(HARNESSES_VENV)/bin/python
	$(HARNESSES_VENV)/bin/python -m pytest -n 0 tests/adapters tests/report/test_listeners.py

# And verifiers wants an older client of OpenAI's protocol than Inspect does.
$(VERIFIERS_VENV)/.package: pyproject.toml environments/medical_team_verifiers/pyproject.toml requirements/verifiers.txt
	$(PYTHON) -m venv --clear $(VERIFIERS_VENV)
	$(VERIFIERS_PIP) install --no-deps -r requirements/verifiers.txt
	$(VERIFIERS_PIP) install --no-deps --no-build-isolation -e . -e environments/medical_team_verifiers
	@touch $@

test-verifiers: $(VERIFIERS_VENV)/.package $(VENV)/.dev
	$(BIN)/pyright -p pyright.verifiers.json --pythonpath $(VERIFIERS_VENV)/bin/python
	$(VERIFIERS_VENV)/bin/python -m pytest -n 0 tests/environments

# MedHELM wants transformers 4 and other releases of what Inspect needs too.
$(MEDHELM_VENV)/.package: pyproject.toml requirements/medhelm.txt
	$(PYTHON) -m venv --clear $(MEDHELM_VENV)
	$(MEDHELM_PIP) install --no-deps -r requirements/medhelm.txt
	$(MEDHELM_PIP) install '$(TORCH)'
	$(MEDHELM_PIP) install --no-deps --no-build-isolation -e .
	@touch $@

test-medhelm: $(MEDHELM_VENV)/.package $(VENV)/.dev
	$(BIN)/pyright -p pyright.medhelm.json --pythonpath $(MEDHELM_VENV)/bin/python
	$(MEDHELM_VENV)/bin/python -m pytest -n 0 tests/adapters/test_medhelm.py

lock:
	@test -x $(LOCK_VENV)/bin/uv || $(PYTHON) -m venv $(LOCK_VENV)
	$(LOCK_VENV)/bin/python -m pip --disable-pip-version-check -q install --upgrade uv
	$(COMPILE) $(EXTRAS) --extra parquet --extra docs --extra dev pyproject.toml requirements/build.in requirements/test.in \
		-o requirements/test.txt > /dev/null
	$(COMPILE) $(EXTRAS) pyproject.toml requirements/build.in \
		-c requirements/test.txt -o requirements/package.txt > /dev/null
	$(COMPILE) $(EXTRAS) --extra dev pyproject.toml requirements/build.in requirements/test.in requirements/vllm.in \
		--override requirements/vllm-overrides.txt $(NOT_BESIDE_TORCH) -o requirements/vllm.txt > /dev/null
	$(COMPILE) --extra inspect --extra lm-eval --extra tracking pyproject.toml requirements/build.in requirements/pytest.in \
		requirements/harnesses.in -o requirements/harnesses.txt > /dev/null
	$(COMPILE) --extra medhelm pyproject.toml requirements/build.in requirements/pytest.in $(NOT_BESIDE_TORCH) \
		-o requirements/medhelm.txt > /dev/null
	$(COMPILE) --extra eval --extra judge pyproject.toml requirements/build.in requirements/pytest.in \
		requirements/verifiers.in -o requirements/verifiers.txt > /dev/null
	$(COMPILE) $(EXTRAS) pyproject.toml requirements/build.in requirements/pytest.in requirements/openrlhf.in \
		--override requirements/vllm-overrides.txt $(NOT_BESIDE_TORCH) -o requirements/openrlhf.txt > /dev/null
	git diff --stat requirements/

clean:
	rm -rf $(VENV) $(HARNESSES_VENV) $(LATEST_VENV) $(LOCK_VENV) $(MEDHELM_VENV) $(OPENRLHF_VENV) \
		$(VERIFIERS_VENV) $(VLLM_VENV) build dist
