# `make` lists the commands. Those that need a virtual environment make it themselves, in .venv.

PYTHON ?= python3

# What `make demo` runs. Done steps are not done again; training goes on where it stopped.
DEMO_STORE := runs/pydocs_store
DEMO_RUN := runs/pydocs
DEMO_PREPARE := launch/prepare.py --dataset pydocs --out $(DEMO_STORE)
DEMO_TRAIN := launch/train.py --config launch/configs/pydocs.py --store $(DEMO_STORE) --run $(DEMO_RUN)
DEMO_EVALUATE := launch/evaluate.py --run $(DEMO_RUN) --split test --baseline --examples 3

# One process a core, up to four: most of the suite's time is XLA compiling on one core.
PYTEST_FLAGS ?= -n logical --maxprocesses 4 --dist worksteal
# For a short one: make soak SOAK_FLAGS='--kills 5 --seconds_per_target 1'
SOAK_FLAGS ?=

BIN := .venv/bin
SOURCES := axml_jax kernels launch benchmarks tests
SHELL := /bin/sh
.DEFAULT_GOAL := help
# The steps of one command stand in each other's light when run side by side; -j changes nothing.
.NOTPARALLEL:
.PHONY: help demo test error-paths test-gpu soak lint format types wheel clean environment

help:
	@echo 'make demo      prepare real text, train a model on it, show how good it is (under 10 minutes)'
	@echo 'make test      linter, formatter, type checker and all tests'
	@echo 'make error-paths  all tests under coverage; fails on an error of ours that no test reaches'
	@echo 'make test-gpu  the tests that need a GPU (install the CUDA build of jax: .venv/bin/pip install -e ".[cuda]")'
	@echo 'make soak      the long tests: 50 kills, signals, hostile inputs (about an hour)'
	@echo 'make lint      linter and formatter, as checks'
	@echo 'make format    let the linter and the formatter mend the files'
	@echo 'make types     type checker'
	@echo 'make wheel     dist/*.whl'
	@echo 'make clean     remove .venv, caches, built files and the run of make demo; other runs stay'
	@echo
	@echo 'The virtual environment .venv is made from python3 (3.11, 3.12 or 3.13);'
	@echo 'another one is chosen like this: make PYTHON=python3.12 test'

demo: $(BIN)/.ready $(DEMO_STORE)/store.json
	@echo '== train (again: go on, or find it done)'
	@$(BIN)/python $(DEMO_TRAIN)
	@echo '== evaluate'
	@$(BIN)/python $(DEMO_EVALUATE)

$(DEMO_STORE)/store.json: | $(BIN)/.ready
	@echo '== prepare'
	@$(BIN)/python $(DEMO_PREPARE)

test: lint types
	@echo '== pytest'
	@$(BIN)/python -m pytest -q $(PYTEST_FLAGS)
	@echo '== all passed: ruff check, ruff format, mypy, pytest'

# Parabel's errors need omikuji.  In .cache/coverage a file of each process, hundreds of them; what was there is of other sources.
error-paths: $(BIN)/.ready-baselines
	@rm -rf .cache/coverage && mkdir -p .cache/coverage
	@echo '== pytest under coverage'
	@$(BIN)/python -m coverage run -m pytest -q $(PYTEST_FLAGS)
	@echo '== error paths'
	@$(BIN)/python tests/error_paths.py

test-gpu: $(BIN)/.ready-dev
	@AXML_TEST_PLATFORM=gpu $(BIN)/python -m pytest -q -m gpu

# tests/soak/soak.py calls each part, the fuzzer of tests/fuzz/ too, and fails if any of them does.
soak: $(BIN)/.ready-soak
	@$(BIN)/python -m tests.soak.soak $(SOAK_FLAGS)

lint: $(BIN)/.ready-dev
	@echo '== ruff check'
	@$(BIN)/python -m ruff check $(SOURCES)
	@echo '== ruff format --check'
	@$(BIN)/python -m ruff format --check $(SOURCES)

format: $(BIN)/.ready-dev
	@$(BIN)/python -m ruff check --fix $(SOURCES)
	@$(BIN)/python -m ruff format $(SOURCES)

types: $(BIN)/.ready-dev
	@echo '== mypy'
	@$(BIN)/python -m mypy

wheel: $(BIN)/.ready-dev
	@rm -rf build  # or what was there before would be packed too
	@$(BIN)/python -m build --wheel

clean:
	rm -rf .venv .cache .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info $(DEMO_STORE) $(DEMO_RUN)

# --- The environment -----------------------------------------------------------------------------
# Two stamps: the demo needs fewer packages than the tests. Packages are installed anew when setup.cfg
# changes. .venv is made anew when it does not run, when the folder was moved or copied (its paths
# would lead to the old place), and when PYTHON= chooses another version of Python.

probe := import sys; sys.stdout.write("%d.%d.%d " % sys.version_info[:3]); \
  import venv, ensurepip; sys.stdout.write("complete")
found = $(shell "$(PYTHON)" -c '$(probe)' 2>/dev/null </dev/null)
version = $(firstword $(filter 2.% 3.% 4.%,$(found)))
needed := axml_jax needs Python 3.11, 3.12 or 3.13
another := choose another one like this: make PYTHON=python3.12 $(or $(firstword $(MAKECMDGOALS)),test)

define require_python
$(if $(version),,$(error '$(PYTHON)' does not run; $(needed): install one of them, or $(another)))\
$(if $(filter 3.11.% 3.12.% 3.13.%,$(version)),,$(error '$(PYTHON)' is Python $(version); $(needed): $(another)))\
$(if $(filter complete,$(found)),,$(error '$(PYTHON)' (Python $(version)) lacks the module venv or ensurepip: \
install it (Debian, Ubuntu: apt install python$(basename $(version))-venv), or $(another)))
endef

inside := $(shell test "$$(cat .venv/place 2>/dev/null)" = "$$(pwd -P)" && \
  $(BIN)/python -c 'import pip, sys; sys.stdout.write("%d.%d" % sys.version_info[:2])' 2>/dev/null </dev/null)
ifeq ($(inside),)
  stale := yes
else ifneq ($(origin PYTHON),file)
  ifneq ($(inside),$(basename $(version)))
    stale := yes
  endif
endif
ifdef stale
$(BIN)/.ready $(BIN)/.ready-dev: environment
endif

environment:
	@$(require_python)echo '== .venv (Python $(version))'
	@"$(PYTHON)" -m venv --clear .venv
	@pwd -P >.venv/place

define install
@echo '== install $(1) with all it requires (the first time minutes, on a slow line)'
@$(BIN)/python -m pip install -qq --no-input --disable-pip-version-check --editable '$(1)'
endef

$(BIN)/.ready: setup.cfg pyproject.toml
	$(call install,.)
	@touch $@

$(BIN)/.ready-dev: setup.cfg pyproject.toml
	$(call install,.[dev])
	@$(plugin)
	@touch $(BIN)/.ready $@

$(BIN)/.ready-baselines: $(BIN)/.ready-dev
	$(call install,.[dev,baselines])
	@touch $@

$(BIN)/.ready-soak: $(BIN)/.ready-dev
	$(call install,.[dev,soak])
	@touch $@

# XLA's CUDA compiler, without CUDA libraries or a driver: the kernels are compiled for a GPU that is
# not here. In a folder of its own, for installed like other packages JAX would look for a GPU.
define plugin
if [ "$$(uname -sm)" = 'Linux x86_64' ]; then \
  echo '== install the CUDA compiler of JAX in .venv/cuda-plugin (136 MB)'; \
  v=$$($(BIN)/python -c 'import jax; print(jax.__version__)') && rm -rf .venv/cuda-plugin && \
  $(BIN)/python -m pip install -qq --no-input --disable-pip-version-check --no-deps \
    --target .venv/cuda-plugin "jax-cuda13-plugin==$$v" "jax-cuda13-pjrt==$$v"; \
else echo '== not Linux on x86-64: the tests that compile for a GPU will be skipped'; fi
endef
