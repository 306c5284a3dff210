# `make help` lists the commands. They need Python 3.11 or newer, make, and access to a package index.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PROTOS := $(wildcard protos/infin8/*/v1/*.proto)
PACKAGES := bench governor_client governor_service pair service_chassis workflow_service examples tests hatch_build.py

# A python on PATH may be a shim that fails, too old, or unable to make a venv.
USABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.PHONY: help setup run serve psql prices test check soak fuzz kills bench lint format contract-image clean distclean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with everything in it; the other commands do this when it is needed

run: $(STAMP) ## drive one workflow from examples/organization.json to COMPLETED, and show what it did and cost
	@exec $(BIN)/python -m pair run $(ARGS)

serve: $(STAMP) ## keep the pair up until Ctrl-C; prints `ready governor=HOST:PORT workflow=HOST:PORT`
	@exec $(BIN)/python -m pair serve $(ARGS)

psql: $(STAMP) ## open psql on the pair's database, DATABASE=governor or workflow; with or without `make serve`
	@exec $(BIN)/python -m pair.psql $(or $(DATABASE),governor) $(ARGS)

prices: $(STAMP) ## show what a newer price list would change in the pair's price book; ARGS='import' writes it
	@exec $(BIN)/python -m pair.prices $(ARGS)

# At most eight processes, since each starts its own PostgreSQL.
test: $(STAMP) ## run the tests in random order on all cores, on a real PostgreSQL; ARGS='-k word' chooses
	@$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal $(ARGS)

check: lint ## run this before a commit: lint, and the tests that the changes since BASE=HEAD concern
	@tests=$$($(BIN)/python -m tests.affected $(or $(BASE),HEAD)) && \
	if [ -n "$$tests" ]; then echo "make test ARGS='$$tests'"; $(MAKE) --no-print-directory test ARGS="$$tests $(ARGS)"; fi

soak: $(STAMP) ## compare the governor with its model in OPERATIONS=200000 random operations
	@OPERATIONS=$(or $(OPERATIONS),200000) $(BIN)/python -m pytest -p no:randomly tests/property/test_machine.py -s $(ARGS)

fuzz: $(STAMP) ## send hostile messages of every size to both services, at most COUNT=60000 in SECONDS=180
	@exec $(BIN)/python -m tests.fuzz --count $(or $(COUNT),60000) --seconds $(or $(SECONDS),180) $(ARGS)

kills: $(STAMP) ## run workflows while their services are killed KILLS=200 times; then compare all books
	@exec $(BIN)/python -m tests.kills --kills $(or $(KILLS),200) $(ARGS)

bench: $(STAMP) ## measure the governor's speed in three minutes; ARGS='--help' lists the options
	@exec $(BIN)/python -m bench $(ARGS)

lint: $(STAMP) ## check style, types, import layers, and that the protos break no client of the last release
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy $(PACKAGES)
	$(BIN)/lint-imports
	$(BIN)/buf lint protos
	$(BIN)/buf breaking protos --against protos/contract.binpb

format: $(STAMP) ## rewrite the Python files as `make lint` wants them
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

# The image is the contract of the last release. Make it again only with a release: until then, `make lint` refuses a
# change that would break the release's clients. Additions break no client, so they need no new image.
contract-image: $(STAMP) ## make protos/contract.binpb, the image that `make lint` compares the protos with
	$(BIN)/buf build protos --exclude-source-info -o protos/contract.binpb

clean: ## remove the files that tests, linters and builds leave behind
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## also remove .venv, .tools and the generated stubs; keep .data
	rm -rf $(VENV) .tools
	find protos -name '*_pb2*.py*' -delete

# With flock, only one setup runs at a time: `make run` waits for a `make serve` that is still setting up.
$(STAMP): requirements.lock pyproject.toml hatch_build.py $(PROTOS)
	@set -e; \
	exec 9<requirements.lock; \
	if command -v flock >/dev/null; then flock 9; fi; \
	if [ -e $@ ] && [ -z "$$(find $^ -newer $@)" ]; then exit 0; fi; \
	if ! { $(BIN)/python -c '$(USABLE)' && $(BIN)/python -m pip --version; } >/dev/null 2>&1; then \
		python=; \
		for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
			if "$$candidate" -c '$(USABLE)' >/dev/null 2>&1; then python=$$candidate; break; fi; \
		done; \
		if [ -z "$$python" ]; then \
			echo 'make: no Python 3.11 or newer with venv and ensurepip found; name one with PYTHON=/path/to/python3' >&2; \
			exit 1; \
		fi; \
		echo "making $(VENV) with $$python" >&2; \
		"$$python" -m venv --clear $(VENV); \
	fi; \
	pip="$(BIN)/python -m pip --disable-pip-version-check --quiet install --root-user-action=ignore"; \
	$$pip --require-hashes -r requirements.lock; \
	$$pip --no-deps --no-build-isolation -e .; \
	touch $@
