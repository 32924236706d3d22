# Thin names for what scripts do. `make` alone prints them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin

.PHONY: help
help:
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup demo dev cluster test lint format types check bench chaos fuzz docs migrate openapi env screenshots clean

setup: ## make .venv match uv.lock
	@scripts/bootstrap

demo: setup ## one process with everything in it: a run to watch, then a running site
	@$(BIN)/python manage.py demo

dev: setup ## the site with auto-reload and an engine inside
	@AGENTRY_ENGINE=embedded $(BIN)/uvicorn agentry_site.asgi:application --reload --ws-per-message-deflate false

cluster: setup ## web, workers and beat as processes on private PostgreSQL and Redis
	@eval "$$(scripts/services start)" && $(BIN)/python manage.py cluster

test: setup ## everything that must hold: lint, types, imports, tests on both databases, coverage
	@scripts/services install --browser
	@$(BIN)/python scripts/test

lint: setup ## ruff's rules and format, and who may import whom
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

format: setup ## rewrite files the way ruff formats them
	@$(BIN)/ruff check --fix-only --quiet . && $(BIN)/ruff format .

types: setup ## mypy, strict
	@$(BIN)/mypy

check: lint types ## the quick part of test, with the unit and architecture tests
	@$(BIN)/pytest -q tests/unit tests/architecture

bench: setup ## measure, print a table, keep it under tests/bench/results
	@$(BIN)/python -m tests.bench

chaos: setup ## kill everything at every point, 200 seeds
	@scripts/services install
	@$(BIN)/pytest --strict-skips tests/chaos --seeds 200

fuzz: setup ## ask every address of the API with 50 made-up requests, other ones each time
	@SCHEMATHESIS_EXAMPLES=50 $(BIN)/pytest -q tests/integration/agents/api/test_schemathesis.py

docs: setup ## build the documentation into site/, strictly
	@$(BIN)/zensical build --strict --clean

migrate: setup ## bring the database of this environment up to date
	@$(BIN)/python manage.py migrate

openapi: setup ## write docs/reference/openapi.json from the code
	@$(BIN)/python manage.py spectacular --validate --fail-on-warn --format openapi-json --file docs/reference/openapi.json

env: setup ## write .env.example, the pages of variables, problems and events, and the policy schema
	@$(BIN)/python scripts/generate_env.py && $(BIN)/python -m scripts.generate_reference

screenshots: setup ## take the pictures of the documentation from a running demo
	@$(BIN)/python scripts/screenshots.py

clean: ## remove what can be made again (stops the private services)
	@scripts/services stop
	@rm -rf .venv .run site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache htmlcov .coverage*
