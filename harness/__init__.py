"""A benchmark harness for autonomous ML research; see ARCHITECTURE.md."""

import os

__version__ = "0.1.0"
__path__.append(
    os.path.join(__path__[0], "commands")
)  # so that `python -m harness.NAME` finds every command, too
