"""The human program: the Markdown file that tells the agent how to work."""

from pathlib import Path

from harness.config.locations import conf_folder, program_file
from harness.errors import UserError

MAXIMUM_BYTES = 256 << 10


class Program:
    """A program file, read once. `text` is what the agent is given; `path` where it came from."""

    def __init__(self, path: str | None = None, variant: str | None = None) -> None:
        """variant: name of a Markdown file beside the YAML of this group; path: a file of one's own, which wins.

        Raises UserError when the file is missing, not UTF-8 text, empty or larger than 256 KiB.
        """
        ours = program_file() if variant is None else conf_folder() / "program" / f"{variant}.md"
        self.path = ours if path is None else Path(path)
        self.text = _read(self.path)


def _read(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"program {path} is not a regular file")
        if path.stat().st_size > MAXIMUM_BYTES:
            raise UserError(f"program {path} is larger than {MAXIMUM_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"program {path} does not exist; give program=default or a Markdown file") from None
    except UnicodeDecodeError:
        raise UserError(f"program {path} is not UTF-8 text") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte in it
        raise UserError(f"program {path} cannot be read: {error}") from None
    if not text.strip():
        raise UserError(f"program {path} is empty")
    return text
