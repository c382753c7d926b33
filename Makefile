# Everything a person does with a checkout of this repository. `make` alone lists it.
#
# Needs Python >= 3.11 and make. The first target that needs them sets up .venv with torch and the
# project; stamp files in .venv say what is there, so that nothing is installed twice.

PYTHON ?= python3
TORCH ?= torch
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Each word quoted: a requirement may hold < and >, and options may follow it.
TORCH_WORDS := $(patsubst %,'%',$(TORCH))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint types docs dist benchmarks clean FORCE

help:
	@echo 'make demo    make a small corpus of sounds, train a tagger on it, score it, draw pictures: demo/'
	@echo 'make test    run all tests, docstring examples included'
	@echo 'make lint    check style and format (ruff)'
	@echo 'make types   check types (mypy --strict; pyright, of a program that uses the package)'
	@echo 'make docs    build the documentation: docs/_build/html/index.html'
	@echo 'make dist    build the wheel and the source archive: dist/'
	@echo 'make benchmarks   measure again what takes minutes, and write the tables of the documentation anew'
	@echo 'make clean   remove all of that, $(VENV) included'
	@echo
	@echo 'The first run installs what it needs into $(VENV); nothing else is touched.'
	@echo 'PYTHON=python3.12 chooses the interpreter (3.11 or newer; default python3).'
	@echo 'TORCH=... chooses what pip installs as torch, default the newest. On Linux that brings several'
	@echo 'GB of CUDA libraries; any pip requirement, wheel file or pip options will do instead:'
	@echo '    make test TORCH="torch==2.13.0"'
	@echo '    make test TORCH="torch --index-url ADDRESS-OF-YOUR-CPU-BUILDS"'

demo: $(VENV)/.has-examples
	$(BIN)/python examples/freesound2019.py demo --out demo

test: $(VENV)/.has-test
	$(BIN)/pytest

lint: $(VENV)/.has-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.has-dev
	$(BIN)/mypy
	$(BIN)/mypy --strict --config-file= --python-executable $(BIN)/python tests/typed
	$(BIN)/pyright --project tests/typed --pythonpath $(BIN)/python
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pyright --verifytypes rankaudio --ignoreexternal

docs: $(VENV)/.has-docs
	$(BIN)/sphinx-build -n -W --keep-going --fresh-env -b html docs docs/_build/html

dist: $(VENV)/.has-dev
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

benchmarks: $(VENV)/.has-dev
	$(BIN)/python benchmarks/all.py

clean:
	rm -rf $(VENV) demo dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.has-python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'rankaudio needs Python 3.11 or newer, and $(PYTHON) is' "$$($(PYTHON) --version 2>&1)"; \
	  echo 'Name another interpreter, for example: make $(MAKECMDGOALS) PYTHON=python3.12'; exit 1; } >&2
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# torch comes first and alone, so that what the project needs finds it there and fetches no other.
# The stamp holds TORCH's value, and is out of date when that changes.
$(VENV)/.has-torch: $(VENV)/.has-python FORCE
	@if [ "$$(cat $@ 2>/dev/null)" != "$(TORCH)" ]; then \
	  echo $(PIP) install $(TORCH_WORDS) && $(PIP) install $(TORCH_WORDS) && echo "$(TORCH)" > $@; fi

$(VENV)/.has-%: $(VENV)/.has-torch pyproject.toml
	$(PIP) install --quiet --editable '.[$*]'
	@touch $@
