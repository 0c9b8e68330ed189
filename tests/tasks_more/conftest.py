"""Fixtures for the tests of task folders."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the import mode keeps helpers beside a test out of reach
from task_modules import Subject


@pytest.fixture
def subject() -> type[Subject]:
    return Subject
