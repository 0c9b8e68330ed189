"""A benchmark harness for autonomous ML research; see ARCHITECTURE.md."""

__version__ = "0.1.0"
