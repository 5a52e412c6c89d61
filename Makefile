# Everything a newcomer needs: `make run` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help run test check chaos bench docs lock clean

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

test: check ## set up, then the whole test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

chaos: $(STAMP) ## kill -9 fifty times each on SQLite and PostgreSQL during bulk runs, and count at the stand-ins
	AMEND_CHAOS_KILLS=50 $(BIN)/python -m pytest -s tests/chaos

bench: $(STAMP) ## speed and memory, as ratios within one run
	$(BIN)/python -m bench

docs: $(STAMP) ## renew what is generated: README's table and the manifest
	$(BIN)/python -m bot.reference README.md
	$(BIN)/amend manifest > deploy/manifest.json

lock: ## renew the hash-pinned locks from pyproject.toml (needs uv)
	uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-annotate --no-header --extra dev pyproject.toml --output-file requirements.lock
	uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-annotate --no-header pyproject.toml --output-file requirements-run.lock

clean: ## remove what the targets above made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis artefacts .sandbox *.egg-info
