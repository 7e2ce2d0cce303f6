# On a fresh machine with Python 3.11 (or newer), git and make:
#   make demo    the main job on embedded data; ends with the path of the report
#   make test    the tests
# VENV=/some/where uses or creates the environment there; PYTHON=... chooses the interpreter.

PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
LOCK := $(shell $(PYTHON) -c "import hashlib; print(hashlib.sha256(open('requirements.lock', 'rb').read()).hexdigest()[:16])")
export PATH := $(BIN):$(PATH)

.PHONY: help demo test test-slow test-slurm check test-extension layout docs coverage bench env clean
help:
	@sed -n 's/^#   //p' Makefile

env: $(VENV)/locked-$(LOCK)
	@test "$$(cat $(VENV)/checkout 2>/dev/null)" = "$(CURDIR)" || { \
	  echo "installing mtlbench from $(CURDIR)"; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . && \
	  echo "$(CURDIR)" > $(VENV)/checkout; }

# Named by the lock file's digest, so a clone's file times do not matter. The lock holds every package; were pip to look for
# dependencies, a newer release of one that is asked for with an extra (`coverage[toml]`) would end in an error.
$(VENV)/locked-$(LOCK):
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'mtlbench needs Python 3.11 or newer: make PYTHON=/path/to/python3.11')"
	@echo "creating the environment in $(VENV) (about 6 GB, some minutes)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip check
	@touch $@

demo: env
	@echo "training the demo; '$(BIN)/mtlbench status demo' shows each run, 'make demo' again continues it"
	@snakemake --profile workflow/profiles/local demo
	@echo "The report: results/report/demo/index.html"

test: env
	$(BIN)/python -m pytest -m "not slow and not slurm" -n 2 --dist loadgroup --durations 25

# The heavy tests: half an hour on two cores.
test-slow: env
	$(BIN)/python -m pytest -m "slow and not slurm" -n 2 --dist loadgroup --durations 25

# The contract tests that shipped entries pass, for those in a folder of your own: make test-extension FOLDER=mine
test-extension: env
	$(BIN)/python -m pytest --extension "$(FOLDER)" tests/plan/test_registry.py tests/*/test_contract.py

# On a real Slurm that the tests start on this machine: as root, after `tests/slurm/install.sh accounting`. They mostly
# wait, so more of them run at once than there are cores.
test-slurm: env
	MTLBENCH_NEEDS_SLURM=1 $(BIN)/python -m pytest -m slurm -n 4 --durations 15

# Style, types, the rules of the workflow, and the documentation with all its links.
check: env
	ruff check . && ruff format --check . && snakefmt --check . && mypy
	$(BIN)/python workflow/lint.py
	NO_MKDOCS_2_WARNING=1 mkdocs build --quiet --strict

# params.yaml as DVC writes it, so that `dvc exp run -S KEY=VALUE` changes one line of it.
layout: env
	$(BIN)/python workflow/layout.py

# The documentation as a site in work/site.
docs: env
	NO_MKDOCS_2_WARNING=1 mkdocs build --quiet --strict && echo "work/site/index.html"

# Which lines the quick tests run.
coverage: env
	$(BIN)/python -m pytest -m "not slow and not slurm" -n 2 --dist loadgroup --cov mtlbench --cov-report term:skip-covered

bench: env
	mtlbench bench roofline

# Everything that can be made again; downloads, the environment and checkpoints of finished runs stay.
clean:
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .snakemake/log work/logs
