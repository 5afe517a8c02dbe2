# Every target makes its own virtual environment first; all can be run again at any time. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := jobs/evening.yaml

.PHONY: help setup demo test quick check bench format clean

help:
	@echo "make setup   a virtual environment in $(VENV)"
	@echo "make demo    render $(DEMO) on this machine and say where the film is"
	@echo "make test    every test"
	@echo "make quick   the tests without Ray and without long renders, for every save"
	@echo "make check   formatting, lint, types, import contracts"
	@echo "make bench   benchmarks of the demo model and the farm, into benchmarks/results/local/"
	@echo "make format  put the code into its form"
	@echo "make clean   delete $(VENV) and what tests and demo wrote"

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14), "render needs Python 3.11 to 3.13; say make PYTHON=python3.11"'
	@began=$$(date +%s); \
	$(PYTHON) -m venv $(VENV) && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]' && \
	touch $@ && echo "setup: $$(( $$(date +%s) - began )) s"

demo: setup
	@began=$$(date +%s); $(BIN)/render run $(DEMO) && echo "demo: $$(( $$(date +%s) - began )) s"

test: setup
	$(BIN)/python -m pytest --durations=5

quick: setup
	$(BIN)/python -m pytest -m "not ray and not slow"

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	@mkdir -p benchmarks/results/local
	@began=$$(date +%s); \
	$(BIN)/python -m pytest benchmarks --benchmark-only --benchmark-json=benchmarks/results/local/parts.json && \
	$(BIN)/render bench --model demo --out benchmarks/results/local && echo "bench: $$(( $$(date +%s) - began )) s"

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
