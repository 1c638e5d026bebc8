# Everything a developer types. `make help` lists it.

SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON3 ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Arguments for pytest, for example: make test ARGS="tests/stores -x"
ARGS ?=

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: venv
venv: $(INSTALLED) ## Install everything that requirements.lock names into .venv

# Installed once per change of the lock. Nothing is built: a .pth file puts this checkout on the
# path of the venv's Python, and a three-line script is the command `tributary`.
$(INSTALLED): requirements.lock
	@$(PYTHON3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Tributary needs Python 3.11 or newer: set PYTHON3=/path/to/python3" >&2; exit 1; }
	@$(PYTHON3) -c 'import ensurepip, venv' \
		|| { echo "Python lacks venv: on Debian run 'apt-get install python3-venv'" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON3) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@echo "$(CURDIR)" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tributary.pth"
	@printf '#!/bin/sh\nexec "%s" -P -c "from app.cli import main; main(prog_name=\\"tributary\\")" "$$@"\n' \
		"$(CURDIR)/$(BIN)/python" > $(BIN)/tributary
	@chmod +x $(BIN)/tributary
	@touch $@

.PHONY: demo
demo: $(INSTALLED) ## Fill a fresh channel with campaigns and serve it at http://127.0.0.1:8000
	@$(BIN)/tributary demo

.PHONY: test
test: $(INSTALLED) ## Run the tests (ARGS="tests/stores -x" picks some)
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

.PHONY: check
check: $(INSTALLED) ## Lint, check the format and the types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

.PHONY: format
format: $(INSTALLED) ## Format the code and mend what ruff can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: docs
docs: $(INSTALLED) ## Write docs/events.md from the event types
	@$(BIN)/python -m app.event_docs > docs/events.md.new
	@mv docs/events.md.new docs/events.md

.PHONY: openapi
openapi: $(INSTALLED) ## Write docs/openapi.json from the API's declarations
	@$(BIN)/python -m app.api.describing > docs/openapi.json.new
	@mv docs/openapi.json.new docs/openapi.json

.PHONY: fuzz
fuzz: $(INSTALLED) ## Send 20,000 drawn cases to the API with keys of each role (ARGS="--cases 2000")
	@$(BIN)/python -m bench.api_fuzz $(ARGS)

.PHONY: crash
crash: $(INSTALLED) ## Kill the server in a loop while clients pledge, and audit what is left
	@$(BIN)/python -m bench.crash $(ARGS)

.PHONY: bench
bench: $(INSTALLED) ## Measure everything and write docs/benchmarks.md (ARGS=--quick: short, no page)
	@$(BIN)/python -m bench.all $(ARGS)

.PHONY: cluster-kill
cluster-kill: $(INSTALLED) ## Kill the leader of a PostgreSQL cluster in a loop while clients pledge
	@$(BIN)/python -m bench.cluster_kill $(ARGS)

.PHONY: last-item
last-item: $(INSTALLED) ## Sell the last piece of a reward to eight clients at once, 1,000 times
	@$(BIN)/python -m bench.last_item $(ARGS)

.PHONY: screenshots
screenshots: $(INSTALLED) ## Take the pictures that docs/ shows, light and dark
	@$(BIN)/python -m bench.screenshots

.PHONY: lock
lock: $(INSTALLED) ## Write requirements.lock from pyproject.toml (ARGS=--upgrade takes newer versions)
	@$(BIN)/uv pip compile --generate-hashes --extra dev --python-version 3.11 \
		--no-emit-index-url --no-header -q $(ARGS) pyproject.toml -o requirements.lock

.PHONY: clean
clean: ## Remove .venv and what the tools left (never ./var, which holds data)
	rm -rf $(VENV) .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find app domain projections tests bench ops -name __pycache__ -type d -prune -exec rm -rf {} +
