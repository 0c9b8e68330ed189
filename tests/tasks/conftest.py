"""Fixtures for the tests of task folders."""

import pytest
from task_modules import Subject


@pytest.fixture
def subject() -> type[Subject]:
    return Subject
