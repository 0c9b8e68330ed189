"""Lets the tests here import the helpers beside them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from scoring_bench import bench, local_referee, model

__all__ = ["bench", "local_referee", "model"]
