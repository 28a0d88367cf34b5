# Everything a contributor or a CI machine runs. Needs Python >= 3.10 and a POSIX shell.
#
# The first target that needs it makes .venv and installs the project with its tools into it; it is
# made anew only when pyproject.toml changes. PYTHON=python3.12 chooses the interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench real-suites clean

help:
	@echo "make demo         pack a published GPU job onto one simulated card"
	@echo "make test         run the tests"
	@echo "make check        format, lint, types, layers: what a change must pass"
	@echo "make format       rewrite the sources the way make check wants them"
	@echo "make bench        every benchmark, its short form (BENCH_ARGS= for the full one)"
	@echo "make real-suites  run other projects' suites plain and packed, and compare"
	@echo "make clean        remove what the other targets made"

setup: $(READY)

# uv where the machine has it, else installed into the environment, else pip alone: the result is
# the same, only slower.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "make: Python >= 3.10 is needed, $(PYTHON) is " + sys.version.split()[0] + "; try make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@if uv=$$(command -v uv || command -v $(BIN)/uv) \
	    || { $(BIN)/python -m pip install --quiet uv && uv=$(BIN)/uv; }; then \
	  "$$uv" pip install --quiet --python $(BIN)/python --editable '.[dev]' \
	    || $(BIN)/python -m pip install --quiet --editable '.[dev]'; \
	else \
	  $(BIN)/python -m pip install --quiet --editable '.[dev]'; \
	fi
	@touch $(READY)

demo: $(READY)
	$(BIN)/tonnage demo

# PATH first, so that the commands which tests start are this environment's.
test: export PATH := $(CURDIR)/$(BIN):$(PATH)
# Tonnage runs its own tests. Bytecode is kept whatever the caller's environment says: hundreds of
# interpreters start.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(READY)
	$(BIN)/pytest --pack $(PYTEST_ARGS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/tonnage lint

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

BENCH_ARGS ?= --quick
bench: $(READY)
	@for script in benchmarks/[a-z]*.py; do \
	  echo "== $$script $(BENCH_ARGS)"; \
	  $(BIN)/python "$$script" $(BENCH_ARGS) || exit 1; \
	done

real-suites: $(READY)
	$(BIN)/python examples/real_suites.py $(SUITES_ARGS)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks dist build
