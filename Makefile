# Everything a fresh Debian or Ubuntu machine needs. `make run` and `make test` do all set-up themselves.

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Debian's users have no sbin on their PATH, and HAProxy lives there.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin

.PHONY: run test lint bench bench-micro bench-peers bench-precision clean haproxy

run: $(STAMP) haproxy  ## the main job: a timeout campaign through real HAProxy, about two minutes
	$(BIN)/wsload campaign quickstart

test: $(STAMP) haproxy lint  ## all checks and all tests
	WSLOAD_TEST_HAPROXY="$$(.ci/haproxy-releases $(VENV)/haproxy)" $(BIN)/pytest -n 2 --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP) haproxy  ## what the driver costs beside HAProxy, JSON on stdout
	@$(BIN)/python benchmarks/driver_cost.py

bench-micro: $(STAMP)  ## what frames, scheduler, recording and merging take; MICRO="-o before.json" keeps the result
	@$(BIN)/python -m benchmarks.micro --quiet $(MICRO)

bench-peers: $(STAMP) haproxy  ## against Locust, Artillery and Tsung, which it installs: half an hour; PEERS="--rounds 1" is a third
	@.ci/install-packages npm:npm
	@$(BIN)/python benchmarks/peers.py --install $(PEERS)

bench-precision: $(STAMP) haproxy  ## how late messages leave, over time, and whose fault that is: three minutes
	@$(BIN)/python benchmarks/precision.py $(PRECISION)

haproxy:
	@.ci/install-packages haproxy:haproxy

$(STAMP): pyproject.toml
	@.ci/install-packages venv-of:$(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
