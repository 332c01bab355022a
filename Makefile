# Everything a person or a machine does with this project; `make help` lists it.
# Each target makes `.venv` when it is missing or older than the lock file.

.DEFAULT_GOAL := help
.PHONY: help install demo test faults planted mutation soak lint bench audit sbom up sandbox lock clean
.SUFFIXES:

# The first Python that is new enough; `make PYTHON=/path/to/python …` overrides it.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$python; break; }; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# Some machines forbid Python to keep byte code; each of the hundreds of processes that a
# demonstration or the tests start would then compile two seconds' worth of packages.
unexport PYTHONDONTWRITEBYTECODE

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' \
		$(MAKEFILE_LIST)

install: .venv/.stamp ## Make .venv with the locked packages

# The lock names every package there is to install, so nothing is left to resolve:
# `--no-deps` keeps a newer release of any of them from being looked at. Byte code is
# left to the first import: most of what is installed is never imported.
.venv/.stamp: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, \
	or say where it is: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "Installing the locked packages into .venv ..."
	@$(PYTHON) -m venv .venv || { echo "Python's venv module is missing: install it \
	(on Debian the package python3-venv)" >&2; exit 2; }
	@$(PIP) install --no-compile --no-deps --require-hashes --requirement requirements.lock
	@$(PIP) install --no-compile --no-build-isolation --no-deps --editable .
	@$(PIP) check
	@touch $@

demo: .venv/.stamp ## Watch accounts being drained, replenished and cut off (BILLING=a2billing or another, KEEP=1 stays up, SECONDS=n)
	@$(BIN)/replenish demo $(if $(BILLING),--billing $(BILLING)) $(if $(KEEP),--keep) \
		$(if $(SECONDS),--seconds $(SECONDS))

test: .venv/.stamp ## Run all tests; the rules and steps to 100 % branch coverage, the rest to 90 %
	$(BIN)/python -m pytest -n 4 --dist worksteal --cov --cov-report=term:skip-covered \
		--cov-fail-under=90
	$(BIN)/coverage report --include='replenish/domain/*,replenish/pipeline/*' \
		--fail-under=100 --format=total

faults: .venv/.stamp ## Break everything, check the books, print what was shown; ten minutes and more
	@$(BIN)/python -m tests.scoreboard run

soak: .venv/.stamp ## Break everything for MINUTES=60, and watch that nothing grows
	@$(BIN)/python -m tests.scoreboard soak $(or $(MINUTES),60)

planted: .venv/.stamp ## Plant defects one at a time; the checker must name each
	$(BIN)/python -m tests.planted

mutation: .venv/.stamp ## Change the rules a little, one change at a time; a test must fail
	$(BIN)/python -m tests.mutation

lint: .venv/.stamp ## Check style, types and the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.stamp ## Measure, as ratios within one run; about fifteen minutes
	$(BIN)/python -m benchmarks.sandbox_load
	$(BIN)/python -m benchmarks.sweep
	$(BIN)/python -m benchmarks.replenishments
	$(BIN)/python -m benchmarks.interference
	$(BIN)/python -m benchmarks.coexistence
	$(BIN)/python -m benchmarks.poison
	$(BIN)/python -m benchmarks.overdraft
	$(BIN)/python -m benchmarks.verifying

audit: .venv/.stamp ## Look the locked packages up among known vulnerabilities, where it can be done
	@$(BIN)/python .ci/audit.py

sbom: .venv/.stamp ## Print what is installed, with licences and hashes (CycloneDX)
	@$(BIN)/python .ci/sbom.py

up: .venv/.stamp ## Run workers, beat, guard, Flower and sandbox until Ctrl-C
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/honcho start

sandbox: .venv/.stamp ## Run the stand-in for Stripe's API alone
	@$(BIN)/replenish sandbox serve

# In a throw-away environment, so that the tool itself is not part of the lock, and
# from the default index alone, so that everybody's pip finds the same files.
lock: ## Renew requirements.lock from pyproject.toml
	@tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT \
	&& $(PYTHON) -m venv "$$tools" \
	&& "$$tools/bin/pip" install --quiet pip-tools==7.6.2 \
	&& PIP_CONFIG_FILE=/dev/null PIP_FIND_LINKS= CUSTOM_COMPILE_COMMAND="make lock" \
		"$$tools/bin/pip-compile" --quiet --upgrade --generate-hashes \
		--extra dev,embedded,mysql --strip-extras --allow-unsafe \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--annotation-style=line --output-file=requirements.lock pyproject.toml

clean: ## Stop the embedded servers and remove all that was made
	@test ! -x $(BIN)/python || $(BIN)/python -c \
		'from pathlib import Path; from replenish import embedded; embedded.stop(Path(".replenish"))'
	@test ! -L .replenish/postgres || rm -rf "$$(readlink .replenish/postgres)"
	rm -rf .venv .replenish *.egg-info build .coverage* htmlcov celerybeat-schedule*
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
