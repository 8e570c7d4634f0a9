# `make help` lists the targets. Everything is set by environment variables: `.venv/bin/wavecom run --help` names them.

PYTHON := .venv/bin/python
# More for pytest, e.g. make test ARGS="-k idempotency -x"; with ARGS="-n 0" one process has them all.
ARGS ?=
# Tests wait more than they compute: hence more processes than a small machine has cores. A file's tests stay together, for
# they share servers; files are taken in the order of tests/conftest.py, which begins with the long ones.
PYTEST := $(PYTHON) -m pytest -m "not long" -n 3 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup run test matrix faults fuzz clients bench backlog lint check check-deploy check-image lock format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what `make run` needs: system packages, .venv, the locked Python packages
	@tools/bootstrap run

run: setup ## set up and run everything on this machine until Ctrl-C
	@exec .venv/bin/wavecom run

test: ## set up and run all tests; they start the servers they need
	@tools/bootstrap test
	@$(PYTEST) $(ARGS)

matrix: ## run all tests on Debian 12 and 13, each in a root folder of its own; needs root, an hour
	@ARGS="$(ARGS)" tools/matrix

faults: ## break everything under load, then hold the books against each other; about an hour (see ARGS=--help)
	@tools/bootstrap test
	@$(PYTHON) -m tests.faults $(ARGS)

bench: ## measure what it carries, beside a plain application of the same stack; hours (see ARGS=--help)
	@tools/bootstrap test
	@$(PYTHON) -m benchmarks $(ARGS)

backlog: ## a million delivery messages wait in RabbitMQ: its memory, and how they are taken; some minutes (see ARGS=--help)
	@tools/bootstrap test
	@$(PYTHON) -m benchmarks.backlog $(ARGS)

fuzz: ## generated calls, good and bad, of all that the API says it does; about half an hour (see ARGS=--help)
	@tools/bootstrap test
	@$(PYTHON) -m tests.fuzz $(ARGS)

clients: ## make, build and use clients in Python, TypeScript, Go and Java of the API's description; five minutes
	@tools/bootstrap test
	@$(PYTHON) -m tests.clients $(ARGS)

lint: ## format, lint, types, import contracts, spelling
	@tools/bootstrap test
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/codespell

check: lint ## what lint does, then all tests with branch coverage
	$(PYTEST) --cov --cov-report=term-missing:skip-covered $(ARGS)

check-deploy: ## judge deploy/ and the GitHub workflow by helm, Kubernetes' schemas, promtool and actionlint; needs go
	@tools/bootstrap test
	@tools/check-deploy

check-image: ## build the image of deploy/Dockerfile and run its processes as a container does; needs root and buildah
	@tools/bootstrap test
	@tools/check-image

format: ## put the code into the project's format
	@tools/bootstrap test
	.venv/bin/ruff format
	.venv/bin/ruff check --fix

LOCK := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock" setup.cfg

lock: ## write both lock files for what setup.cfg asks for (newest of all: make lock ARGS=--upgrade)
	@tools/bootstrap test
	$(LOCK) --extra local --extra dev --output-file requirements-dev.lock $(ARGS)
	$(LOCK) --extra local --constraint requirements-dev.lock --output-file requirements.lock $(ARGS)

clean: ## remove caches and build products; data in var/ and .venv stay
	rm -rf build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path "./.venv/*" -prune -exec rm -rf {} +
