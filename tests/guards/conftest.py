"""The corpus of proposals is read by scripts/guard_table.py; the tests use the same one."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
