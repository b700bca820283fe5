# Each verb does its own set-up: a machine needs Python >= 3.11 and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
Q ?= There are four rooms, A to D, with one door out of each. The door in B leads to D. The door in A leads to C. The door in D leads to A. The door in C leads to B. You start in B and walk through three doors. In which room are you?

.PHONY: ask smollm2 smollm2-rim test lint format docs site demo clean

ask: $(VENV)/.runs
	@$(BIN)/rim-edge ask "$(Q)"

# Fetch a real model, export it, ask it (examples/smollm2).
smollm2: $(VENV)/.converts
	@$(BIN)/python examples/smollm2/make.py

# The same model with the committed adapter: a real RiM model, offline from here on.
smollm2-rim: $(VENV)/.merges
	@$(BIN)/python examples/smollm2/make.py --rim

# As many processes as cores, four at most, each on one thread: several at once would share the cores.
# Files come in the order of tests/conftest.py, the longest first.
# One that dies is not replaced, because pytest-xdist can then wait for ever: the run ends and names its test.
test: $(VENV)/.develops
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

lint: $(VENV)/.develops
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.develops
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

# Write docs/cli.md from the code.
docs: $(VENV)/.develops
	PYTHONPATH=. $(BIN)/python docs/write_cli.py

# Build the pages as a site in build/site, which opens from the disk: build/site/index.html.
site: $(VENV)/.develops
	PYTHONPATH=. $(BIN)/python -m docs.write_site build/site

# Train the demo model, export it, and replace what ships inside the package (45 minutes or more on one core).
demo: $(VENV)/.develops
	$(BIN)/python -m rim_edge.demo.make

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runs: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[cpu]"
	@touch $@

$(VENV)/.converts: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[cpu,export,gguf]"
	@touch $@ $(VENV)/.runs

$(VENV)/.merges: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[cpu,export,gguf,train]"
	@touch $@ $(VENV)/.runs $(VENV)/.converts

$(VENV)/.develops: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[cpu,openvino,trt,export,train,tensorboard,gguf,serve,sign,docs,dev]"
	@touch $@ $(VENV)/.runs $(VENV)/.converts
