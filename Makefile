# The interpreter the environments are made with: make test PYTHON=python3.13
PYTHON ?= python3
# Where the wheel goes
DIST ?= dist
# Handed on to the command a target runs: make run ARGS="--port 4566"
ARGS ?=

VENV := .venv
RIVALS := .venv-rivals
LOCKER := .venv-lock
BIN := $(VENV)/bin
PIP := -m pip install --quiet --disable-pip-version-check

new_enough = $(shell { $(PYTHON) -c 'import sys; print(int(sys.version_info >= (3, 11)))'; } 2>/dev/null)
make_venv = $(if $(filter 1,$(new_enough)),,$(error Headrace needs Python 3.11 or newer, but PYTHON is "$(PYTHON)"))$(PYTHON) -m venv

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SILENT:
.PHONY: help run dev test lint format types lock bench bench-rivals wheel image-test clean

help: ## List the targets
	awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s%s\n", $$1, $$2}' Makefile

run: $(VENV)/.project ## Start the server; options go in ARGS
	exec $(BIN)/headrace serve $(ARGS)

dev: $(VENV)/.project $(VENV)/.dev ## Install everything the checks and tests need

test: dev ## Run the tests; pytest options go in ARGS
	exec $(BIN)/python -m pytest $(ARGS)

lint: dev ## Check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: dev ## Format the code and fix what can be fixed safely
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

types: dev ## Check the types
	$(BIN)/mypy

lock: $(LOCKER)/.done ## Renew the locks; ARGS=--upgrade moves to newer versions
	$(call compile,requirements-dev.lock,pyproject.toml --group dev)
	$(call compile,requirements.lock,pyproject.toml --constraints requirements-dev.lock)
	$(call compile,requirements-build.lock,--group build --constraints requirements-dev.lock)
	$(call compile,requirements-rivals.lock,--group rivals)

bench: dev ## Measure the server; options go in ARGS
	exec $(BIN)/python -m tests.bench $(ARGS)

bench-rivals: dev $(RIVALS)/.done ## Measure it side by side with other brokers
	exec $(BIN)/python -m tests.bench --rivals $(ARGS)

# The time that all files of the wheel have: no archive can say an earlier one.
wheel: export SOURCE_DATE_EPOCH ?= 315532800
wheel: $(VENV)/.run ## Build the wheel into dist/: the same bytes from the same sources
	copy=$$(mktemp -d) && trap 'rm -rf "$$copy"' EXIT && umask 022 && \
		cp -R api broker storage pyproject.toml "$$copy" && chmod -R u=rwX,go=rX "$$copy" && \
		$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps \
			--no-build-isolation --wheel-dir $(DIST) "$$copy"

image-test: dev ## Build the image, run it and look at it; needs Linux and root
	exec $(BIN)/python -m pytest -n 0 tests/packaging/image.py $(ARGS)

clean: ## Remove environments, caches and build output
	rm -rf $(VENV) $(RIVALS) $(LOCKER) build dist *.egg-info
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

compile = $(LOCKER)/bin/uv pip compile --quiet --only-binary :all: --universal --python-version 3.11 \
	--generate-hashes --no-header $(2) --output-file $(1) $(ARGS) && \
	sed -i.old '1s/^/\# made by `make lock`\n/' $(1) && rm $(1).old

# A stamp file is newer than the lock it was made from, so nothing is installed twice.

$(VENV)/.python:
	$(make_venv) $(VENV)
	touch $@

$(VENV)/.run: $(VENV)/.python requirements.lock requirements-build.lock
	$(BIN)/python $(PIP) --require-hashes -r requirements.lock -r requirements-build.lock
	touch $@

$(VENV)/.project: $(VENV)/.run pyproject.toml
	$(BIN)/python $(PIP) --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	$(BIN)/python $(PIP) --require-hashes -r requirements-dev.lock
	touch $@

$(RIVALS)/.done: requirements-rivals.lock
	$(make_venv) $(RIVALS)
	$(RIVALS)/bin/python $(PIP) --require-hashes -r requirements-rivals.lock
	touch $@

$(LOCKER)/.done:
	$(make_venv) $(LOCKER)
	$(LOCKER)/bin/python $(PIP) uv
	touch $@
