# Everything that you can do with a checkout of this repository. `make` alone lists it.
#
# It needs Python >= 3.11 and make. The first target sets up .venv with torch and the project. Stamp files in
# .venv record what is installed, so nothing is installed twice.

PYTHON ?= python3
TORCH ?= torch
T ?=
N ?= 5000
MODEL ?=
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# One thread for each process: threads of several processes would compete for the cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest
# Each word is quoted, because a requirement may hold < and >, and options may follow it.
TORCH_WORDS := $(patsubst %,'%',$(TORCH))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo web check format test fuzz lint types docs dist benchmarks clean FORCE

help:
	@echo 'make demo    make a small corpus of sounds, train a tagger on it, score it, draw pictures: demo/'
	@echo 'make web     a page that shows what the model of the demo hears, in a file or the microphone; needs npm'
	@echo 'make web MODEL=model.pt PORT=8000    the same with another model, or on another port'
	@echo 'make check   style, types (mypy) and the fast tests: before each commit'
	@echo 'make format  apply the style (ruff)'
	@echo 'make test    run all tests on all cores, docstring examples included'
	@echo 'make test T=tests/test_losses.py    run one file, or whatever pytest takes'
	@echo 'make fuzz    read thousands of damaged files of each kind, in one process of at most 4 GB: an hour'
	@echo 'make lint    check style and format (ruff)'
	@echo 'make types   check types (mypy --strict; pyright on a program that uses the package)'
	@echo 'make docs    build the documentation: docs/_build/html/index.html'
	@echo 'make dist    build the wheel and the source archive: dist/'
	@echo 'make benchmarks   run the benchmarks that take minutes, and write their tables again'
	@echo 'make clean   remove all of that, and $(VENV)'
	@echo
	@echo 'The first run installs what it needs into $(VENV). It touches nothing else.'
	@echo 'PYTHON=python3.12 chooses the interpreter (3.11 or newer; default python3).'
	@echo 'TORCH=... chooses what pip installs as torch; the default is the newest. On Linux that brings several'
	@echo 'GB of CUDA libraries. Any pip requirement, wheel file or pip options work instead:'
	@echo '    make test TORCH="torch==2.13.0"'
	@echo '    make test TORCH="torch --index-url ADDRESS-OF-YOUR-CPU-BUILDS"'

demo: $(VENV)/.has-examples
	$(BIN)/python examples/freesound2019.py demo --out demo

# Without MODEL, the newest model of the demo.
web: $(VENV)/.has-onnx examples/web/node_modules/.package-lock.json
	$(if $(MODEL),,ls demo/run_*/fold_0/model.pt > /dev/null 2>&1 || $(MAKE) demo)
	$(BIN)/python examples/web/build_page.py --model "$(or $(MODEL),$$(ls demo/run_*/fold_0/model.pt | tail -1))"
	$(BIN)/python examples/web/serve.py --port $(PORT)

# npm writes that file last.
examples/web/node_modules/.package-lock.json: examples/web/package.json examples/web/package-lock.json
	npm ci --omit=dev --prefix examples/web

check: $(VENV)/.has-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@echo '$(BIN)/mypy, next to the tests'; found=$$(mktemp); $(BIN)/mypy > "$$found" 2>&1 & types=$$!; \
	  $(PYTEST) -q -n auto -m 'not slow and not example'; tests=$$?; \
	  wait $$types; types=$$?; cat "$$found"; rm -f "$$found"; [ $$tests = 0 ] && [ $$types = 0 ]

format: $(VENV)/.has-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: $(VENV)/.has-test
	$(PYTEST) $(or $(T),-n auto)

# In one process, with a limit of memory. N=300 is a short run.
fuzz: $(VENV)/.has-test
	FUZZ_EXAMPLES=$(N) $(PYTEST) -q --durations=0 $$(grep -rl --include='test_*.py' 'from fuzzing import' tests)

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
	rm -rf $(VENV) demo examples/web/node_modules examples/web/site dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.has-python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'rankaudio needs Python 3.11 or newer, and $(PYTHON) is' "$$($(PYTHON) --version 2>&1)"; \
	  echo 'Name another interpreter, for example: make $(MAKECMDGOALS) PYTHON=python3.12'; exit 1; } >&2
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# torch is installed first and alone, so that the project finds it and fetches no other.
# The stamp holds the value of TORCH, and is out of date when that changes.
$(VENV)/.has-torch: $(VENV)/.has-python FORCE
	@if [ "$$(cat $@ 2>/dev/null)" != "$(TORCH)" ]; then \
	  echo $(PIP) install $(TORCH_WORDS) && $(PIP) install $(TORCH_WORDS) && echo "$(TORCH)" > $@; fi

$(VENV)/.has-%: $(VENV)/.has-torch pyproject.toml
	$(PIP) install --quiet --editable '.[$*]'
	@touch $@
