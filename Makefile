# Every target sets up .venv first; that is a no-op once it has been done.
.PHONY: setup run test test-slow test-browser test-gpu test-agents test-faults lint study
ARGS ?=
VENV ?= .venv
PYTHON_IN_VENV = $(VENV)/bin/python
FAST = not slow and not gpu and not agents and not faults

setup: ; @HARNESS_VENV="$(VENV)" ./scripts/bootstrap
run: setup ; @$(PYTHON_IN_VENV) -m harness $(ARGS)
test: setup ; @$(PYTHON_IN_VENV) -m pytest -m "$(FAST)" -n auto --dist loadfile $(ARGS)
test-slow: setup ; @$(PYTHON_IN_VENV) -m pytest -m "slow and not browser" $(ARGS)
test-browser: setup ; @$(PYTHON_IN_VENV) -m pytest -m browser $(ARGS)
test-gpu: setup ; @$(PYTHON_IN_VENV) -m pytest -m gpu $(ARGS)
test-agents: setup ; @$(PYTHON_IN_VENV) -m pytest -m agents $(ARGS)
test-faults: setup ; @$(PYTHON_IN_VENV) -m pytest tests/faults $(ARGS)
lint: setup
	@$(PYTHON_IN_VENV) -m ruff check .
	@$(PYTHON_IN_VENV) -m mypy
# NAME: a folder in studies/
study: setup ; @PYTHONPATH=scripts $(PYTHON_IN_VENV) studies/$(NAME)/study.py $(ARGS)
