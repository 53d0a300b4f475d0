# Two commands matter: `make run` and `make test`. Both set up what they need.
SHELL := /bin/bash
PYTHON ?= python3.11
ifeq ($(shell command -v $(PYTHON) 2>/dev/null),)
PYTHON := python3
endif
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: run test check format nightly lock bench clean

# `--no-deps`: a lock file is whole, and a pip of before 23.3 that resolves anew takes an extra of a locked package
# for a package without a pin as soon as its owner publishes a newer version.
$(VENV)/run.stamp: requirements.lock pyproject.toml
	@echo "Making the environment (once)…"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m pip check >/dev/null
	@touch $@

$(VENV)/test.stamp: tests/requirements.lock $(VENV)/run.stamp
	@echo "Adding what the tests need (once)…"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tests/requirements.lock
	@$(BIN)/python -m pip check >/dev/null
	@touch $@

run: $(VENV)/run.stamp  ## the whole platform on http://127.0.0.1:4000 (ARGS="--port 4001 --no-demo")
	@exec $(BIN)/stadion up $(ARGS)

test: $(VENV)/test.stamp  ## every test that this machine can run
	@start=$$(date +%s); $(BIN)/python -m pytest -n 2 -m "not nightly" $(ARGS); code=$$?; \
	echo "make test took $$(( $$(date +%s) - start )) s"; exit $$code

check: $(VENV)/test.stamp  ## format, lint, import contracts, types, SDL drift, budgets
	@start=$$(date +%s); code=0; \
	$(BIN)/ruff format --check . || code=1; \
	$(BIN)/ruff check . || code=1; \
	$(BIN)/lint-imports || code=1; \
	$(BIN)/mypy || code=1; \
	$(BIN)/python -m pytest -q tests/architecture tests/platform/test_published_schema.py || code=1; \
	echo "make check took $$(( $$(date +%s) - start )) s"; exit $$code

format: $(VENV)/test.stamp  ## rewrite the code into its format
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

nightly: $(VENV)/test.stamp  ## the long variants of the property and differential tests
	@$(BIN)/python -m pytest -n 2 -m nightly --timeout 3600 $(ARGS)

bench: $(VENV)/test.stamp  ## figures of the router beside its peers (ARGS="--peers --rounds 5")
	@$(BIN)/python -m tests.benchmarks.gateway $(ARGS)

lock:  ## write both lock files anew from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --python-version 3.11 --generate-hashes --no-header --no-annotate -q -o requirements.lock
	uv pip compile pyproject.toml --extra test --python-version 3.11 --generate-hashes --no-header --no-annotate -c requirements.lock -q -o tests/requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis build *.egg-info
