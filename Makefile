# Every target sets up .venv first; that is a no-op once it has been done.
.PHONY: setup run test test-slow test-browser test-gpu test-agents test-faults test-cluster test-ray lint study
ARGS ?=
VENV ?= .venv
PYTHON_IN_VENV = $(VENV)/bin/python
FAST = not slow and not gpu and not agents and not faults and not cluster and not ray

setup: ; @HARNESS_VENV="$(VENV)" ./scripts/bootstrap
run: setup ; @$(PYTHON_IN_VENV) -m harness $(ARGS)
test: setup ; @$(PYTHON_IN_VENV) -m pytest -m "$(FAST)" -n auto --dist loadfile $(ARGS)
test-slow: setup ; @$(PYTHON_IN_VENV) -m pytest -m "slow and not browser" $(ARGS)
test-browser: setup ; @$(PYTHON_IN_VENV) -m pytest -m browser $(ARGS)
test-gpu: setup ; @$(PYTHON_IN_VENV) -m pytest -m gpu $(ARGS)
test-agents: setup ; @$(PYTHON_IN_VENV) -m pytest -m agents $(ARGS)
test-faults: setup ; @$(PYTHON_IN_VENV) -m pytest tests/faults $(ARGS)
test-cluster: ; @HARNESS_VENV="$(VENV)-cluster" ./scripts/bootstrap dev,slurm
	@$(VENV)-cluster/bin/python -m pytest -m cluster tests/cluster $(ARGS)
test-ray: ; @HARNESS_VENV="$(VENV)-cluster" ./scripts/bootstrap dev,ray
	@$(VENV)-cluster/bin/python -m pytest -m ray tests/cluster $(ARGS)
lint: setup
	@$(PYTHON_IN_VENV) -m ruff check .
	@$(PYTHON_IN_VENV) -m mypy
# NAME: a folder in studies/
study: setup ; @PYTHONPATH=scripts $(PYTHON_IN_VENV) studies/$(NAME)/study.py $(ARGS)
