"""Where trials are executed."""
