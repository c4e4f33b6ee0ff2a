# Two commands do everything on a fresh machine: `make demo` and `make test`. The rest are parts of them.
# Lock files (requirements/*.txt) name every package by version and hash; `make lock` writes them anew.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help venv demo demo-down test test-life test-night lint format lock docs bench clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime  ## a real two-node Kubernetes cluster on local machines
	$(BIN)/provision lab up --name demo --file $(DEMO)/cluster.yaml
	$(BIN)/provision lab run --name demo -- $(BIN)/provision apply --file $(DEMO)/cluster.yaml --yes
	@printf '%s\n' '' 'The cluster keeps running. Try next:' \
	  '  $(BIN)/provision lab run --name demo -- kubectl --kubeconfig $(DEMO)/demo.kubeconfig get pods -A' \
	  '  $(BIN)/provision lab run --name demo -- $(BIN)/provision status --file $(DEMO)/cluster.yaml' \
	  '  make demo-down        # remove the machines'

venv: $(VENV)/.dev  ## the virtual environment .venv with everything that tests need

demo-down: $(VENV)/.runtime  ## remove the demo's machines and files
	$(BIN)/provision lab down --name demo
	rm -rf $(DEMO)

test: $(VENV)/.dev lint  ## the tests: format, lint, types, unit, golden, content, packaging, lab, Molecule
	$(BIN)/pytest -m 'not lab' --numprocesses auto
	$(BIN)/pytest -m 'lab and not life and not night'

test-life: $(VENV)/.dev  ## a cluster's whole life on lab machines, resets, commands stopped at each step
	$(BIN)/pytest -m life $(SUITE)

test-night: $(VENV)/.dev  ## every interruption, lost machines, control planes that come and go
	$(BIN)/pytest -m night

lint: $(VENV)/.dev  ## format, lint and type checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/yamllint --strict .
	PATH="$(CURDIR)/$(BIN):$$PATH" ANSIBLE_HOME=$(CURDIR)/.ansible $(BIN)/ansible-lint --offline --strict

format: $(VENV)/.dev  ## rewrite the Python files in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(VENV)/.dev  ## write the lock files anew from pyproject.toml
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make lock" pyproject.toml -o requirements/runtime.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make lock" --extra dev -c requirements/runtime.txt pyproject.toml -o requirements/dev.txt

clean:  ## remove what make made here (not the lab's cache, not running machines)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .ansible dist build

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: $(PYTHON) is older than 3.11; name another one: make PYTHON=python3.12 ..." >&2; exit 3; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	  || { echo "error: $(PYTHON) has no venv module; type: apt-get install python3-venv" >&2; exit 3; }
	$(PYTHON) -m venv $(VENV)

# An editable install, so that the playbooks of the checkout are the ones that run.
$(VENV)/.runtime: requirements/runtime.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install -q --require-hashes -r requirements/runtime.txt
	$(BIN)/pip install -q --no-deps -e .
	touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install -q --require-hashes -r requirements/dev.txt
	$(BIN)/pip install -q --no-deps -e .
	touch $@ $(VENV)/.runtime
