# `make run` and `make test` set up what they need: Python 3.11 or newer, pip and make are enough.
# Everything is installed into $(VENV), versions and hashes from the lock files.

PYTHON ?= python3
VENV ?= .venv
# Options for the command that the target runs: make run ARGS="--data-dir /tmp/demo", make test ARGS="-k dedup"
ARGS ?=
# Processes that share the tests, each with a broker of its own; 0: one process, as a debugger wants it.
TEST_WORKERS ?= 2

BIN := $(VENV)/bin
UV_VERSION := $(shell sed -n 's/^uv_version=//p' .ci/install)
UV := .cache/uv-$(UV_VERSION)/bin/uv
COMPILE := pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock"

export PIP_DISABLE_PIP_VERSION_CHECK = 1

PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: run test test-browser test-kafka test-long bench lint types imports check wheel lock clean help

## Run

run: $(VENV)/.run-ready  ## start broker, ClickHouse and workers on this machine; Ctrl-C stops all
	@exec $(BIN)/postloop up $(ARGS)

## Test

test: $(VENV)/.dev-ready  ## all tests but the long forms and those in a browser, on the embedded broker
	$(PYTEST) -n $(TEST_WORKERS) -m "not slow and not kafka and not browser" $(ARGS)

test-browser: $(VENV)/.dev-ready  ## the status page in Chromium (needs the program chromium)
	$(PYTEST) -m browser $(ARGS)

test-kafka: $(VENV)/.dev-ready  ## the integration tests on Apache Kafka (needs Java 17 and Maven)
	POSTLOOP_TEST_BROKER=kafka $(PYTEST) -n $(TEST_WORKERS) -m "integration and not slow and not browser" $(ARGS)

test-long: $(VENV)/.dev-ready  ## the long forms: more examples, kills and events, memory over a million events
	POSTLOOP_TEST_PROFILE=long $(PYTEST) -n $(TEST_WORKERS) tests --ignore=tests/integration -m "not slow" $(ARGS)
	POSTLOOP_TEST_LONG=1 $(PYTEST) -m "(slow or exactness) and not kafka" $(ARGS)

bench: $(VENV)/.dev-ready  ## the recorder against its peers, in turns; ARGS="--rounds 5 --json out.json" (docs/performance.md)
	$(BIN)/python -m bench run $(ARGS)

## Check

lint: $(VENV)/.dev-ready  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev-ready  ## mypy, strict
	$(BIN)/mypy

imports: $(VENV)/.dev-ready  ## imports point one way
	$(BIN)/lint-imports

check: lint types imports test  ## all of the above; .ci/run does the same on the built wheel and on both brokers

## Build

wheel: $(VENV)/.dev-ready  ## build dist/postloop-*.whl
	$(BIN)/python -m hatchling build -t wheel

lock: $(UV)  ## resolve pyproject.toml into the lock files; newest versions with ARGS=--upgrade
	$(UV) $(COMPILE) pyproject.toml --extra embedded --group dev -o .ci/dev.lock $(ARGS)
	$(UV) $(COMPILE) pyproject.toml --extra embedded -c .ci/dev.lock --no-annotate -o requirements.lock
	$(UV) $(COMPILE) pyproject.toml -c .ci/dev.lock --no-annotate -o deploy/requirements.lock
	echo 'hatchling' | $(UV) $(COMPILE) - -c .ci/dev.lock --no-annotate -o .ci/build.lock

clean:  ## remove what was built and cached; keeps $(VENV) and the data of `make run`
	rm -rf dist build .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src streams schemas tests -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## this list
	@awk 'BEGIN { FS = ":.*##" } \
		/^## / { printf "\n%s\n", substr($$0, 4) } \
		/^[a-z-]+:.*##/ { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# Set-up. A stamp is older than a lock that changed, and only then is anything installed again.

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || \
		{ echo "Postloop needs Python 3.11 or newer, and there is no $(PYTHON); try: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Postloop needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) -V 2>&1); try: make PYTHON=python3.12 ..." >&2; exit 2; }
	@# Debian keeps what `venv` needs for pip in a package of its own; pip can also install into a venv from outside.
	$(PYTHON) -m venv $(VENV) 2>/dev/null || \
		{ $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $@ install -q pip; }

$(VENV)/.run-ready: requirements.lock .ci/build.lock pyproject.toml | $(BIN)/python
	@echo "installing Postloop into $(VENV) (once, up to a minute or two)"
	@.ci/install $(BIN)/python --require-hashes -r requirements.lock
	@.ci/install $(BIN)/python --require-hashes -r .ci/build.lock
	@.ci/install $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev-ready: .ci/dev.lock pyproject.toml | $(VENV)/.run-ready
	@.ci/install $(BIN)/python --require-hashes -r .ci/dev.lock
	@touch $@

$(UV): | $(BIN)/python
	@$(BIN)/python -m pip install -q --target .cache/uv-$(UV_VERSION) uv==$(UV_VERSION)
