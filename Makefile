# The few commands that do everything. Each one does the missing set-up first and says so.

# Where it is set, as in many containers, each of the many processes compiles everything anew: two seconds each.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
PYTHON := $(VENV)/bin/python
# `make run` installs only the packages it needs: a third of those for tests and linters, so the first start is quick.
RUNNABLE := $(VENV)/.runnable
INSTALLED := $(VENV)/.installed
NODE_RUNNABLE := node_modules/.runnable
NODE_INSTALLED := node_modules/.installed
SEND_TO_EACH := services/gateway/send_to_each.so
# Not compiled: a third of the time would go into modules that are never imported; Python compiles the others itself.
PIP := $(PYTHON) -m pip install --disable-pip-version-check --no-compile
# $(call pip_install,FILE): everything in the lock file, each package with its hash.
pip_install = { $(PIP) --require-hashes --requirement $(1) 2>&1; echo $$? >$(VENV)/.status; } | awk -f tools/pip-progress.awk; \
	exit $$(cat $(VENV)/.status)

# Tests wait for servers half of their time: four processes keep two cores busy, each with servers of its own.
SIDE_BY_SIDE ?= -n 4 --dist worksteal

# `make test PYTEST_ARGS="tests/unit -k cursor"` runs a part, `make test SIDE_BY_SIDE=` one test after the other.
PYTEST_ARGS ?=

# `make demo DEMO_ARGS="--count 600 --rate 10"` writes more, and faster; it always stops by itself.
DEMO_ARGS ?=

# `make faults FAULTS_ARGS="--only redis --seed 7"` runs a part; --list names the scenarios.
FAULTS_ARGS ?=

# `make test-compose COMPOSE_ARGS="--only update roll-back"` runs a part; --list names the rows.
COMPOSE_ARGS ?=

# `make test-alerts ALERTS_ARGS="redis standby"` raises only some, and writes their rows again.
ALERTS_ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run setup-db demo demo-write token test test-compose test-alerts faults check bench bench-page bench-quick format lock clean node-if-there node-or-stop

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) node-if-there ## Install everything to run, test and work on the project, into .venv and node_modules

run: $(RUNNABLE) node-if-there ## Start everything (MongoDB, Redis, watcher, gateway) and serve http://localhost:3000
	@exec $(PYTHON) -m services.embedded

setup-db: $(RUNNABLE) ## Prepare the database at MONGODB_URI, or of `make run`: collection, indexes, validator, secret; SETUP_ARGS=--samples adds orders
	@exec $(PYTHON) -m services.commands.setup_db $(SETUP_ARGS)

demo: $(RUNNABLE) ## Write believable orders for a minute, past the API, while `make run` runs: make demo DEMO_ARGS="--count 600 --rate 10"
	@exec $(PYTHON) -m services.commands.demo $(DEMO_ARGS)

demo-write: $(RUNNABLE) ## Change an order in MongoDB itself, bypassing the API, while `make run` runs
	@exec $(PYTHON) -m services.commands.demo_write

token: $(RUNNABLE) ## Print a token for `AUTH=jwt make run`: make token SUB=ada SCOPE="orders:read orders:write" CUSTOMER="Ada Lovelace"
	@exec $(PYTHON) -m services.commands.make_token

test: $(INSTALLED) node-or-stop ## Run all tests on real servers, real clients and a real browser
	@tests/install-system-packages
	$(PYTHON) -m pytest $(SIDE_BY_SIDE) $(PYTEST_ARGS)

test-compose: $(INSTALLED) node-or-stop ## Start compose.yaml for real, update, rotate and break it, and write docs/faults.md (needs Docker)
	@exec $(PYTHON) -m tests.deploy.compose $(COMPOSE_ARGS)

test-alerts: $(INSTALLED) ## Raise every alert by its real cause in a real Prometheus, and write the table in docs/faults.md (ten minutes)
	@tests/install-system-packages
	$(PYTHON) -m tests.alerts $(ALERTS_ARGS)

faults: $(INSTALLED) node-if-there ## Break everything while an auditor watches, and write docs/faults.md (half an hour)
	@tests/faults/install-system-packages
	$(PYTHON) -m tests.faults $(FAULTS_ARGS)

check: $(INSTALLED) node-or-stop ## Check format, lint, types and import contracts
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports --no-logo
	npm run --silent format:check
	npm run --silent lint
	npm run --silent types

BENCH_INSTALLED := bench/peers/node-seed/node_modules/.installed bench/peers/node-redis/node_modules/.installed

bench: $(INSTALLED) node-or-stop $(BENCH_INSTALLED) ## Measure against what people would use instead, and write docs/benchmarks.md (an hour)
	@bench/peers/nchan/fetch
	@exec $(PYTHON) -m bench

bench-page: $(INSTALLED) node-or-stop ## Measure the web page in Chromium, and write docs/page.md (five minutes)
	@exec $(PYTHON) -m bench.page

bench-quick: $(INSTALLED) node-or-stop $(BENCH_INSTALLED) ## Measure the headline ratios only (two minutes)
	@bench/peers/nchan/fetch
	@exec $(PYTHON) -m bench --quick

bench/peers/%/node_modules/.installed: bench/peers/%/package-lock.json
	@echo "==> Installing the peer $* ($<)"
	@cd bench/peers/$* && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

format: $(INSTALLED) node-or-stop ## Format the code and fix what the linters can fix
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .
	npm run --silent format

# One resolution for every supported Python (hence uv and not pip), with hashes and without the URL of any registry.
LOCK := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --strip-extras \
	--no-config --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" pyproject.toml

lock: $(INSTALLED) ## Resolve the dependencies again into the three lock files (image, run, dev)
	$(PIP) --quiet 'uv>=0.8'
	$(LOCK) --upgrade --output-file requirements.lock
	$(LOCK) --upgrade --constraint requirements.lock --extra embedded --output-file requirements-run.lock
	$(LOCK) --upgrade --constraint requirements-run.lock --extra embedded --extra dev --output-file requirements-dev.lock
	npm install --package-lock-only --ignore-scripts
	node -e 'const fs = require("fs"), f = "package-lock.json", lock = JSON.parse(fs.readFileSync(f)); for (const p of Object.values(lock.packages)) delete p.funding; fs.writeFileSync(f, JSON.stringify(lock, null, 2) + "\n")' # funding requests, with URLs

clean: ## Remove everything that the commands above have created, including the data in .data
	rm -rf $(VENV) $(SEND_TO_EACH) node_modules bench/peers/*/node_modules bench/peers/nchan/root bench/peers/nchan/packages .data .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find services tools tests bench -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

$(PYTHON):
	@for python in python3 python3.13 python3.12 python3.11; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then echo "No Python 3.11 or newer on the PATH: install one, then run make again." >&2; exit 1; fi; \
	if ! $$found -c 'import ensurepip, venv' >/dev/null 2>&1; then \
		echo "$$found cannot create virtual environments: install the package python3-venv, then run make again." >&2; exit 1; fi; \
	echo "==> Making $(VENV) with $$($$found --version)"; \
	$$found -m venv --clear $(VENV)

$(RUNNABLE): requirements-run.lock pyproject.toml | $(PYTHON) $(SEND_TO_EACH)
	@echo "==> Installing Python packages (requirements-run.lock)"
	@$(call pip_install,requirements-run.lock)
	@touch $@

$(INSTALLED): requirements-dev.lock pyproject.toml | $(PYTHON) $(SEND_TO_EACH)
	@echo "==> Installing Python packages (requirements-dev.lock)"
	@$(call pip_install,requirements-dev.lock)
	@# The project itself is installed as editable, which needs no registry.
	@$(PIP) --quiet --no-deps --no-index --no-build-isolation --editable .
	@touch $(RUNNABLE) $@

# The one part in C. Without a compiler the gateway does the same in Python.
$(SEND_TO_EACH): $(SEND_TO_EACH:.so=.c)
	@if command -v $(CC) >/dev/null 2>&1; then \
		echo "==> Building $@"; $(CC) -O2 -Wall -Wextra -shared -fPIC -o $@ $<; \
	else \
		echo "There is no C compiler ($(CC)), so each change will cost the gateway a little more time per client."; \
	fi

$(NODE_RUNNABLE): package-lock.json package.json
	@echo "==> Installing the Socket.IO client of the page (package-lock.json)"
	@npm ci --omit=dev --no-audit --no-fund --loglevel=error
	@touch $@

$(NODE_INSTALLED): package-lock.json package.json
	@echo "==> Installing npm packages (package-lock.json)"
	@npm ci --no-audit --no-fund --loglevel=error
	@touch $(NODE_RUNNABLE) $@

# Without npm the page still works, over Server-Sent Events.
node-if-there:
	@if ! command -v npm >/dev/null 2>&1; then \
		echo "npm is missing, so the page will use Server-Sent Events in place of Socket.IO; install Node.js 18 or newer with npm for both."; \
	elif ! $(MAKE) --no-print-directory --silent $(NODE_RUNNABLE); then \
		echo "npm could not install the Socket.IO client, so the page will use Server-Sent Events in its place."; \
	fi

node-or-stop:
	@if ! command -v npm >/dev/null 2>&1; then \
		echo "npm is missing: install Node.js 18 or newer with npm (Debian: apt-get install nodejs npm), then run make again." >&2; exit 1; fi
	@$(MAKE) --no-print-directory --silent $(NODE_INSTALLED)
