# Everything here works from a fresh clone with Python 3.11 or newer, make and PyPI.
#
#   make quickstart   distil the bundled traffic, serve the student, call it once
#   make test         the checks below, then every test
#   make check        formatting, lint, types, structure tests
#   make format       write the formatting that `make check` wants
#   make docs         write ARCHITECTURE.md and docs/cli.md anew
#   make fuzz         10,000 requests that the OpenAPI document allows or forbids (many minutes)
#   make bench        list the benchmarks
#
# On Linux, PyPI's torch brings CUDA along. For the much smaller CPU build say
#   PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make quickstart

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# An installation is stamped with what it was made from, so that a second run has nothing to do.
HASH := $(shell cat pyproject.toml constraints.txt | cksum | cut -d ' ' -f 1)
FOR_USE := $(VENV)/.installed-$(HASH)
FOR_TEST := $(VENV)/.installed-test-$(HASH)

WORKERS := $(shell $(PYTHON) -c 'import os; print(min(4, (os.cpu_count() or 1) + 1))' 2>/dev/null || echo 1)

.DEFAULT_GOAL := help
.PHONY: help quickstart test check lint format docs fuzz bench clean

help:
	@sed -n 's/^#   make/make/p' Makefile

quickstart: $(FOR_USE)
	$(PY) -m stillhouse quickstart

# One process more than cores, as some always wait; a thread each, as threads of several would wait for each other.
test: lint
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

check: lint
	$(PY) -m pytest tests/structure

lint: $(FOR_TEST)
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m pyright --pythonpath $(PY)

format: $(FOR_TEST)
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

docs: $(FOR_USE)
	$(PY) docs/generate.py

fuzz: $(FOR_TEST)
	$(PY) -m pytest -m slow tests/wire/test_openapi_fuzz.py -s

bench:
	@for file in $(sort $(wildcard benchmarks/*.py)); do echo "$$file  $$(sed -n '1s/^"""//; 1s/"""$$//; 1p' $$file)"; done

clean:
	rm -rf $(VENV) build dist

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Stillhouse needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo not there)."; \
	  echo "Install one, or name it: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "'$(PYTHON) -m venv' failed. On Debian and Ubuntu: apt-get install python3-venv"; \
	  rm -rf $(VENV); exit 1; }

# torch comes first and alone: what is installed next finds the pinned build in place and keeps it.
$(FOR_USE): | $(PY)
	@echo "Installing Stillhouse into $(VENV) (once; some minutes on a slow line)"
	$(INSTALL) torch
	$(INSTALL) --editable '.[train,local,minilm,data]'
	@touch $@

$(FOR_TEST): $(FOR_USE)
	$(INSTALL) --editable '.[train,local,minilm,data,test]'
	@touch $@
