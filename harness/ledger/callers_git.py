"""What a hook or another tool of git's has set for its own repository before it called us."""

import os


def forget() -> None:
    """From now on no variable of theirs leads git elsewhere (GIT_DIR, GIT_OBJECT_DIRECTORY, ...)."""
    for key in [key for key in os.environ if key.startswith("GIT_")]:
        del os.environ[key]
