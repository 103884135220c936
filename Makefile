# make help lists what there is. Everything lives in .venv and var/; nothing else on the machine is touched.
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 8000
# Programs that tests start are compiled once and not at every start, and whoever is done takes from who is not.
unexport PYTHONDONTWRITEBYTECODE
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: help demo demo-globeco test quick bench pin client lint format lock clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

demo: .venv/runtime ## a running site with a synthetic book, a worker and one finished rebalance
	$(BIN)/ordergen demo --port $(PORT)

demo-globeco: .venv/runtime ## the same on simulated GlobeCo services instead of a book of its own
	$(BIN)/python -m tests.globeco.demo --port $(PORT)

test: .venv/dev ## the whole suite
	$(PYTEST)

quick: .venv/dev ## the part to run all day
	$(PYTEST) -m "not slow and not browser"

.PHONY: test-postgres
POSTGRES_URL ?= postgres://postgres@127.0.0.1:5432/postgres
test-postgres: .venv/dev ## the tests whose outcome a database decides, on PostgreSQL
	DATABASE_URL=$(POSTGRES_URL) $(PYTEST) -m "not slow and not browser" \
		tests/ordergen tests/models_app tests/rebalance_app tests/races \
		--ignore=tests/rebalance_app/optimiser --ignore=tests/models_app/portfolio

.PHONY: test-mongo
# mongoeco speaks MongoDB's protocol, and needs Python 3.13: uv finds that, or fetches it where it may. It knows of no two
# transactions at a time: MONGO_URL=mongodb://…/test?replicaSet=rs0 runs the same, and the races, on a real replica set.
MONGO := .venv/mongo
MONGO_URL ?=
MONGO_TESTS = $(shell grep -v '^\#' tests/mongo/selected.txt)
test-mongo: .venv/dev ## the same on MongoDB, as far as mongoeco goes: it plays the server, under Python 3.13
	@if ! $(BIN)/uv venv -q --allow-existing --python "$$(.ci/python 3.13 || echo 3.13)" $(MONGO); then \
		echo "skipped: mongoeco plays the MongoDB, and the Python 3.13 that it needs is not to be had here"; \
		case ",$$ORDERGEN_REQUIRE," in *,mongo,*) exit 1;; *) exit 0;; esac; fi; \
	set -e; $(BIN)/uv pip install -q --python $(MONGO)/bin/python --require-hashes -r requirements-dev.lock; \
	$(BIN)/uv pip install -q --python $(MONGO)/bin/python --no-deps -e .; \
	$(BIN)/uv pip install -q --python $(MONGO)/bin/python -c requirements-dev.lock "mongoeco==4.11.*"; \
	$(if $(MONGO_URL),DATABASE_URL=$(MONGO_URL),) $(MONGO)/bin/python -m pytest -n 2 --dist loadfile \
		$(if $(MONGO_URL),,-p tests.mongo.plugin) -m "not slow and not browser" $(MONGO_TESTS) $(if $(MONGO_URL),tests/races,)

.PHONY: chaos
SEED ?= $(shell date +%Y%m%d)
ROUNDS ?= 2
chaos: .venv/dev ## every fault on every broker and database, for a night (SEED=20261126 ROUNDS=10)
	@echo "SEED=$(SEED) ROUNDS=$(ROUNDS)"
	CHAOS_SEED=$(SEED) CHAOS_ROUNDS=$(ROUNDS) ORDERGEN_REQUIRE=redis,rabbitmq,postgres \
		$(PYTEST) -v -o log_level=INFO tests/chaos tests/chaos/nightly.py tests/rebalance_app/judging/test_life.py

bench: .venv/dev ## the optimiser beside others, a minute or two; installs the dependency group "peers"
	$(BIN)/uv pip install -q --python $(BIN)/python --group peers -c requirements-dev.lock
	$(BIN)/python -W ignore -m benchmarks.optimiser

pin: .venv/dev ## hold both APIs to the documents they have now: names in generated clients come from them
	$(BIN)/python -m tests.ordergen.apis.pinned

client: .venv/dev ## the Python client, made from the pinned document of API v2, with its types checked
	$(BIN)/python clients/python/generate.py
	$(BIN)/mypy --strict --config-file= clients/python/ordergen_client

# symilar is pylint's search for duplicates without the rest of it, which takes a minute; it always exits with 0.
SOURCES = $(shell find ordergen models_app rebalance_app tests benchmarks -name '*.py' -not -path '*/migrations/*')
define ONLY_WITHOUT_DUPLICATES
{ print } /^TOTAL/ { none = / duplicates=0 / } END { exit !none }
endef
export ONLY_WITHOUT_DUPLICATES
lint: .venv/dev ## formatting, rules, types, layers, duplicates of none
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy ordergen models_app rebalance_app
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	@$(BIN)/symilar -d 8 --ignore-comments --ignore-docstrings $(SOURCES) | awk "$$ONLY_WITHOUT_DUPLICATES"

format: .venv/dev ## format, and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: .venv/dev ## pin what pyproject names, with hashes and without addresses; what is pinned stays (UPGRADE=-U for newer)
	$(BIN)/uv pip compile -q $(UPGRADE) --universal --python-version 3.11 --generate-hashes --no-annotate --no-header pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q $(UPGRADE) --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --group dev pyproject.toml -o requirements-dev.lock

clean: ## remove the environment and the demo's data
	rm -rf .venv var

.venv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ordergen needs Python 3.11 or later: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q uv

.venv/runtime: .venv/bin/uv requirements.lock pyproject.toml
	$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@

.venv/dev: .venv/runtime requirements-dev.lock
	$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@touch $@
