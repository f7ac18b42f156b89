# Every target works on a fresh machine: what it needs is make, Python 3.10 or newer and the network.
# The environment is made by uv where that is on PATH, by venv and pip otherwise, and again only when pyproject.toml changed.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_SLOW := $(VENV)/.installed-slow
INSTALLED_BENCH := $(VENV)/.installed-bench

# Tests start hundreds of Pythons; each would compile everything again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help serve test test-slow test-slow-containers test-slow-others soak fuzz check format docs bench bench-long clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
		|| sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1: \2/p' $(MAKEFILE_LIST)

serve: $(INSTALLED) ## Serve examples/blur on port 5000 (another one: PORT=8000 make serve)
	@$(BIN)/python scripts/serve_example.py blur

# One more than there are processors, since many tests wait for a process; more than 4 disturb each other.
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 4 ? n + 1 : 4)))
test: check ## Run the checks and the tests
	$(BIN)/pytest -n $(JOBS) --dist loadfile

# They load the machine, or wait for a container engine: two at a time.
# Containers beside everything else: both wait most of the time. (The groups of pytest-xdist 3.8 have no effect with pytest 9.)
test-slow: $(INSTALLED_SLOW) ## Run the tests that take minutes or need more tools
	@$(MAKE) --no-print-directory -j2 $(if $(filter output-sync,$(.FEATURES)),-Otarget) test-slow-containers test-slow-others

test-slow-containers: $(INSTALLED_SLOW)
	$(BIN)/pytest -m "slow and containers" --durations 20

test-slow-others: $(INSTALLED_SLOW)
	$(BIN)/pytest -m "slow and not containers" -n 2 --dist loadfile --durations 20

# Minutes of it find what seconds do not: SECONDS=3600 make soak
SECONDS ?= 600
soak: $(INSTALLED) ## Load and kill for 10 minutes (another time: SECONDS=60), then show the figures
	PYTHONPATH=tests $(BIN)/python -m soak.run --seconds $(SECONDS)

fuzz: $(INSTALLED_SLOW) ## Feed odd bytes to whatever reads what others wrote, 10 minutes each (another time: SECONDS=60)
	for target in body data_url config frames; do \
		PYTHONPATH=tests $(BIN)/python -m fuzz.run $$target $(SECONDS) || exit 1; \
	done

check: $(INSTALLED) ## Style, types, walls between the rooms, budgets, generated documents
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python scripts/budgets.py src/cog
	$(BIN)/python -m scripts.documents --check
	@$(SITE)

format: $(INSTALLED) ## Lay out the code as the checks want it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Strict: a link that leads nowhere ends it. (--quiet would hide that.) The variable silences news of other programs.
SITE = NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
docs: $(INSTALLED) ## Write the generated documents again, check every link, build the site into site/
	$(BIN)/python -m scripts.documents
	@$(SITE)

# Part of it, or quickly: BENCH="--quick --only async,latency" make bench
bench: $(INSTALLED_BENCH) ## Measure beside other servers, in up to 25 minutes (in 3: BENCH=--quick), and write docs/performance.md
	$(BIN)/python -m benchmarks $(BENCH)

bench-long: $(INSTALLED) ## Measure what a million chunks cost
	$(BIN)/python -m benchmarks.long_output

clean: ## Remove the environment and everything that was generated
	rm -rf $(VENV) .venv-bench build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml
	@PYTHON="$(PYTHON)" scripts/environment.sh "$(VENV)"
	@touch $@

$(INSTALLED_SLOW): pyproject.toml $(INSTALLED)
	@PYTHON="$(PYTHON)" scripts/environment.sh "$(VENV)" dev,slow
	@touch $@

$(INSTALLED_BENCH): pyproject.toml $(INSTALLED)
	@PYTHON="$(PYTHON)" scripts/environment.sh "$(VENV)" dev,bench
	@touch $@
