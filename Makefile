# Everything a newcomer needs: `make run` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
WITNESSES := $(VENV)/witnesses
EMULATE := $(VENV)/emulate

.DEFAULT_GOAL := help
SLICES ?= 1 2 3 4 5 6 7 8 9 10

.PHONY: help run witnesses test check chaos deliveries soak bench docs lock wheel sbom audit clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: $(STAMP) ## set up, then start the sandbox: bot, Slack-like page and vendor stand-ins
	$(BIN)/amend sandbox

check: $(STAMP) ## lint, format check, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(WITNESSES)/.installed: tests/witnesses/requirements.lock
	$(PYTHON) -m venv $(WITNESSES)
	$(WITNESSES)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement tests/witnesses/requirements.lock
	@touch $@

$(EMULATE)/.installed: tests/witnesses/slack/npm-shrinkwrap.json
	@mkdir -p $(EMULATE)
	cp tests/witnesses/slack/package.json tests/witnesses/slack/npm-shrinkwrap.json $(EMULATE)/
	cd $(EMULATE) && npm ci --silent --ignore-scripts --no-audit --no-fund
	@touch $@

witnesses: $(STAMP) $(WITNESSES)/.installed $(EMULATE)/.installed ## what others wrote: clients drive the stand-ins, and an emulated Slack meets the bot
	$(BIN)/python -m pytest tests/witnesses

test: check ## set up, then the whole test suite
	@$(MAKE) --no-print-directory $(WITNESSES)/.installed || echo "The witnesses could not be installed; their tests are left out."
	@$(MAKE) --no-print-directory $(EMULATE)/.installed || echo "The emulated Slack could not be installed (it needs Node.js and npm); its tests are left out."
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

chaos: $(STAMP) ## 1,000 kills in ten slices, half on SQLite and half on PostgreSQL (SLICES=3: the third alone); PostgreSQL restarted
	@set -e; for slice in $(SLICES); do \
		AMEND_CHAOS_KILLS=50 AMEND_CHAOS_RESTARTS=20 AMEND_CHAOS_SEED=$$slice \
			$(BIN)/python -m pytest -s tests/chaos/test_chaos.py tests/chaos/test_database_away.py; done
	AMEND_CHAOS_KILLS=50 $(BIN)/python -m pytest tests/chaos/test_append.py
	AMEND_CHAOS_RESETS=200 AMEND_CHAOS_FILLS=10 AMEND_CHAOS_JUMPS=40 $(BIN)/python -m pytest -s $(addprefix tests/chaos/test_,database_proxy.py full_disk.py clock_jump.py)

deliveries: $(STAMP) ## 100,000 deliveries of Slack, repeated and out of order, over a running bot: one effect each
	AMEND_CHAOS_DELIVERIES=100000 $(BIN)/python -m pytest -s tests/chaos/test_odd_deliveries.py

soak: $(STAMP) ## months of work in ten minutes: tables and memory level off
	AMEND_SOAK_ROUNDS=40 $(BIN)/python -m pytest -s tests/chaos/test_soak.py

bench: $(STAMP) ## speed and memory, as ratios within one run
	$(BIN)/python -m bench

docs: $(STAMP) ## renew what is generated: reference, manifest, and pictures where there is Chromium
	$(BIN)/python -m docs.make
	$(BIN)/amend manifest > deploy/manifest.json
	$(BIN)/python -m docs.make.pictures

lock: ## renew the hash-pinned locks from pyproject.toml (needs uv)
	uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-annotate --no-header --extra dev pyproject.toml --output-file requirements.lock
	uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-annotate --no-header tests/witnesses/requirements.in --output-file tests/witnesses/requirements.lock
	uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-annotate --no-header --extra otel pyproject.toml --output-file requirements-run.lock

wheel: $(STAMP) ## the wheel of the newest commit, the same bit by bit whoever makes it, in artefacts/
	PYTHON=$(CURDIR)/$(BIN)/python sh deploy/wheel.sh artefacts

sbom: $(STAMP) ## what a running Amend is made of, as CycloneDX, in artefacts/sbom.json
	@mkdir -p artefacts
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON --output-file artefacts/sbom.json requirements-run.lock

audit: $(STAMP) ## known weaknesses of what a running Amend is made of (asks the registry's advisories)
	$(BIN)/pip-audit --strict --require-hashes --disable-pip --requirement requirements-run.lock

clean: ## remove what the targets above made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis artefacts .sandbox *.egg-info
