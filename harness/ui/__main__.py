"""`python -m harness.ui`: the command of that name."""

import sys

from harness.commands import run_named

if __name__ == "__main__":
    sys.exit(run_named("ui"))
