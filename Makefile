# Every target is one line over `python -m servers|loadtests|analysis`; `make` alone prints what there is.
PYTHON ?= python3
SUITE  ?= default
PORT   ?= 8080
VENV   := .venv
BIN    := $(VENV)/bin
RUN    ?= results/latest
# What setting up prints is of interest only when it fails.
PIP    := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup bench smoke test check serve watch report compare tune prove yardstick conformance notebooks clean

help: ## print what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "pushbench: $(PYTHON) is missing or older than 3.11; install Python 3.11 or newer, or name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "pushbench: $(PYTHON) cannot make a virtual environment; install its venv module (Debian, Ubuntu: apt install python3-venv)" >&2; exit 2; }
	@echo "setting up $(VENV) (once, about a minute)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	@$(PIP) --editable . && touch $@
$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@$(PIP) --editable '.[dev]' && touch $@ $(VENV)/.run
$(VENV)/.notebooks: pyproject.toml constraints.txt | $(BIN)/python
	@$(PIP) --editable '.[notebooks]' && touch $@

setup: $(VENV)/.dev ## make the virtual environment with everything a developer needs

bench: $(VENV)/.run ## measure; SUITE=full, or EXPERIMENT=fan_out, ARGS="--set load.subscribers=200"
	@$(BIN)/python -m loadtests bench $(EXPERIMENT) --suite $(SUITE) $(ARGS)

smoke: $(VENV)/.run ## every transport once, within a minute
	@$(BIN)/python -m loadtests bench --suite smoke $(ARGS)

test: $(VENV)/.dev ## run every test
	@$(BIN)/python -m pytest -n auto $(ARGS)

yardstick: $(VENV)/.dev ## CPU per delivery and per poll beside a bare C epoll loop and geventhttpclient
	@$(BIN)/python benchmarks/compare.py $(ARGS)

conformance: $(VENV)/.dev ## Autobahn's cases against our WebSocket server and client (half an hour)
	@$(BIN)/python -m tests.conformance $(ARGS)

check: $(VENV)/.dev ## ruff, mypy --strict, the layers
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

serve: $(VENV)/.run ## all transports on one port, feeding at once
	@$(BIN)/python -m servers all --port $(PORT) $(ARGS)

watch: $(VENV)/.run ## Locust's web page against `make serve`
	@$(BIN)/locust -f loadtests/locustfile.py --host http://127.0.0.1:$(PORT) $(ARGS)

report: $(VENV)/.run ## write the report of RUN (results/latest) again
	@$(BIN)/python -m analysis report $(RUN) $(ARGS)

notebooks: $(VENV)/.run $(VENV)/.notebooks ## execute the notebooks on RUN
	@$(BIN)/python -m analysis notebooks $(RUN) $(ARGS)

compare: $(VENV)/.run ## which differences between runs A and B are real
	@$(BIN)/python -m analysis compare $(A) $(B) $(ARGS)

tune: $(VENV)/.run ## settings for your traffic: RATE=0.5 or TRACE=events.csv, P95=2, EMPTY=0.5; VERIFY=1 runs them for real
	@$(BIN)/python -m analysis tune $(if $(RATE),--rate $(RATE)) $(if $(TRACE),--trace $(TRACE)) $(if $(P95),--p95 $(P95)) \
		$(if $(EMPTY),--empty $(EMPTY)) $(if $(VERIFY),--write tuned.toml) $(ARGS) $(if $(VERIFY),|| test $$? = 1)
	@$(if $(VERIFY),$(BIN)/python -m loadtests run tuned.toml && $(BIN)/python -m analysis tuned results/latest tuned.json)

prove: $(VENV)/.run ## are the tuner's answers right? twelve workloads live, each amid a grid of other settings (half an hour)
	@$(BIN)/python -m analysis workloads && $(BIN)/python -m loadtests run --name tuning workloads/*.toml $(ARGS); test $$? -le 1
	@$(BIN)/python -m analysis report && $(BIN)/python -m analysis tuned results/latest

clean: ## remove the virtual environment and caches; results stay
	@rm -rf $(VENV) *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
