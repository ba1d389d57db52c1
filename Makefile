# `make` lists the targets. Everything is installed in .venv, with the versions of constraints.txt.
# CI runs .ci/run: check, test, and the tests again on the installed wheel from another directory.

# The first of these that is 3.11 or newer; another one: make PYTHON=/path/to/python3.12
PYTHON ?= $(shell for p in python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)

BIN := .venv/bin
INSTALLED := .venv/installed
# Every directory at the root that is a package is a sub-package of tacit.
PACKAGE := __init__.py __main__.py py.typed $(patsubst %/__init__.py,%,$(wildcard */__init__.py))

BENCHMARKS ?= $(wildcard benchmarks/*.py)

# pip reads these, and so does the pip that builds in isolation: the first before 25.3, the second since.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test check types proto bench constraints

help:  ## List the targets
	@sed -n 's/^\([a-z]*\):.*##/\1\t/p' Makefile | expand -t 13

install: $(INSTALLED)  ## Create .venv and install tacit and its tools there, if not done yet

demo: $(INSTALLED)  ## Train on examples/digits_private.toml within a privacy budget, then write the report
	@out=runs/demo-$$(date -u +%Y%m%dT%H%M%SZ); set -ex; \
	$(BIN)/tacit run examples/digits_private.toml --out $$out; \
	$(BIN)/tacit report $$out

test: $(INSTALLED)  ## Run every test, and the examples in docstrings; ARGS="-k layout" chooses
	$(BIN)/pytest -n 2 --dist worksteal $(ARGS)

check: $(INSTALLED) types  ## Check the format, the lint rules and the types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	cd .types && ../$(BIN)/mypy --config-file ../pyproject.toml ../tests ../benchmarks

types:  ## Link the checkout as .types/tacit, where type checkers find the package by its name
	@mkdir -p .types/tacit
	@for p in $(PACKAGE); do ln -sfn ../../$$p .types/tacit/$$p; done
	@for link in .types/tacit/*; do \
		case " $(PACKAGE) " in *" $${link##*/} "*) ;; *) rm "$$link" ;; esac; done

proto: $(INSTALLED)  ## Generate wire/federation_pb2*.py from proto/; a test says when they are out of date
	$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=.types --pyi_out=.types --grpc_python_out=.types \
		tacit/wire/federation.proto
	perl -pi -e 's/^from tacit.wire import/from . import/' wire/federation_pb2_grpc.py

bench: $(INSTALLED)  ## Run every benchmark; BENCHMARKS=benchmarks/x.py ARGS="..." runs one, with arguments
	@set -ex; for file in $(BENCHMARKS); do $(BIN)/python $$file $(ARGS); done

constraints:  ## Pin the newest releases of everything but torch and flwr, from a fresh environment
	@set -e; scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	grep -E '^(torch|flwr)==' constraints.txt > "$$scratch/kept.txt"; \
	$(PYTHON) -m venv "$$scratch/venv"; \
	PIP_CONSTRAINT="$$scratch/kept.txt" PIP_BUILD_CONSTRAINT= \
		"$$scratch/venv/bin/pip" install --quiet -e ".[dev]" setuptools; \
	grep '^#' constraints.txt > "$$scratch/new.txt"; \
	"$$scratch/venv/bin/pip" freeze --all --exclude pip --exclude tacit \
		| sed 's/+.*//' >> "$$scratch/new.txt"; \
	cat "$$scratch/new.txt" > constraints.txt

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/pip install -e ".[dev]"
	@touch $@

$(BIN)/pip:
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "tacit needs Python 3.11 or newer; say which with: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
