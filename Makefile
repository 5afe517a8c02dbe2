# Every target makes its own virtual environment first; all can be run again at any time. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := jobs/evening.yaml

# Optimum's exporter needs older transformers and diffusers than ours: an environment of its own. The constraints
# hold for everything else.
OPTIMUM := .venv-optimum
OLDER := transformers==4.57.6 diffusers==0.39.0 huggingface_hub==0.36.2 tokenizers==0.22.2 httpx==0.28.1 \
	optimum==2.1.0 optimum-onnx==0.1.0
OLDER_NAMES := ^(transformers|diffusers|huggingface_hub|tokenizers|httpx2|httpcore2)==

# pip compiles what it installs on one core, half of its time; this on all. Files for another Python fail, which is right.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
COMPILE := { $(BIN)/python -W ignore -m compileall -qq -j 0 $(VENV)/lib || true; }

# Two processes: what waits in one (Ray, sleeps) leaves its core to the other. A file's tests stay together.
SPREAD := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help install setup demo test quick test-all fuzz check optimum bench bench-farm chaos format clean

help:
	@echo "make demo    install what a user needs into $(VENV), render $(DEMO) here and say where the film is"
	@echo "make setup   install what the tests and checks need as well"
	@echo "make test    every test but the longest ones, before every push"
	@echo "make quick   the tests without Ray and without long renders, for every save"
	@echo "make test-all  the longest tests: chaos on a cluster, real models compiled and exported"
	@echo "make fuzz    100,000 mutated job specs through the loader"
	@echo "make check   formatting, lint, types, import contracts"
	@echo "make optimum what exchanges models with Optimum, tested in $(OPTIMUM)"
	@echo "make bench   benchmarks of the demo model, into benchmarks/results/local/"
	@echo "make bench-farm  what the farm costs, with up to 64 workers that only sleep, some minutes, into benchmarks/results/local/"
	@echo "make chaos   a job on a Ray cluster where workers, nodes, files and the driver fail at random; some minutes"
	@echo "make format  put the code into its form"
	@echo "make clean   delete $(VENV) and what tests and demo wrote"

setup: $(VENV)/.dev

install: $(VENV)/.user

$(VENV)/.user: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14), "render needs Python 3.11 to 3.13; say make PYTHON=python3.11"'
	@began=$$(date +%s); \
	$(PYTHON) -m venv $(VENV) && \
	$(PIP_INSTALL) -e . && $(COMPILE) && \
	touch $@ && echo "install: $$(( $$(date +%s) - began )) s"

$(VENV)/.dev: $(VENV)/.user
	@began=$$(date +%s); \
	$(PIP_INSTALL) -e '.[dev]' && $(COMPILE) && \
	touch $@ && echo "setup: $$(( $$(date +%s) - began )) s"

demo: install
	@began=$$(date +%s); $(BIN)/render run $(DEMO) && echo "demo: $$(( $$(date +%s) - began )) s"

test: setup
	$(BIN)/python -m pytest $(SPREAD) -m "not long" --durations=5

quick: setup
	$(BIN)/python -m pytest $(SPREAD) -m "not ray and not slow and not long"

test-all: setup
	$(BIN)/python -m pytest $(SPREAD) -m long --durations=5

fuzz: setup
	$(BIN)/python -m tests.fuzz 100000

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

optimum: $(OPTIMUM)/.ready
	$(OPTIMUM)/bin/python -m pytest tests/engine/backends/test_optimum.py

$(OPTIMUM)/.ready: pyproject.toml constraints.txt Makefile
	$(PYTHON) -m venv $(OPTIMUM)
	grep -vE '$(OLDER_NAMES)' constraints.txt > $(OPTIMUM)/constraints.txt
	$(OPTIMUM)/bin/python -m pip install --quiet --disable-pip-version-check -c $(OPTIMUM)/constraints.txt \
		$(OLDER) -e '.[dev]'
	touch $@

bench: setup
	@mkdir -p benchmarks/results/local
	@began=$$(date +%s); \
	$(BIN)/python -m pytest benchmarks/test_parts.py --benchmark-only --benchmark-json=benchmarks/results/local/parts.json && \
	$(BIN)/render bench --model demo --rounds 2 --out benchmarks/results/local && echo "bench: $$(( $$(date +%s) - began )) s"

bench-farm: setup
	@mkdir -p benchmarks/results/local
	$(BIN)/python -m pytest benchmarks/test_farm.py benchmarks/test_scale.py --benchmark-only \
		--benchmark-json=benchmarks/results/local/farm.json

chaos: setup
	$(BIN)/python -W ignore -m tests.chaos --faults 25

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(OPTIMUM) build dist out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
