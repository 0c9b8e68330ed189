"""`harness transcripts TAG [WORDS]`: what the agents of a session said and did; with WORDS, where these stand.

TAG is the session's tag, or its folder.

One line an entry: proposal, kind, words. WORDS is a regular expression; case is ignored.

Examples:

    harness transcripts nanochat-claude-1a2b3c4d
    harness transcripts nanochat-claude-1a2b3c4d 'learning rate|warm.?up'
"""

import re
import sys

from harness.commands import run
from harness.errors import UserError
from harness.ledger import lookup
from harness.report.agent_files import TRANSCRIPTS, entries
from harness.report.escape import one_line

_WIDTH = 160


def main(argv: list[str]) -> int:
    """0 when something was shown, 1 when nothing was found. Raises UserError."""
    if not 1 <= len(argv) <= 2 or argv[0].startswith("-"):
        raise UserError("usage: harness transcripts TAG [WORDS]")
    folder = lookup.session(argv[0])
    files = sorted((folder / TRANSCRIPTS).glob("*.jsonl"))
    if not files:
        raise UserError(f"{folder} holds no transcript: its agent kept none")
    try:
        wanted = re.compile(argv[1] if len(argv) > 1 else "", re.IGNORECASE)
    except re.error as error:
        raise UserError(f"{argv[1]!r} is no regular expression: {error}") from None
    shown = 0
    for file in files:
        for entry in entries(file):
            text = str(entry.get("text", ""))
            match = wanted.search(text)
            if match is not None and text.strip():
                shown += 1
                start = max(0, match.start() - 40) if len(argv) > 1 else 0
                print(f"{file.stem} {one_line(entry.get('kind', ''), 12)}: {one_line(text[start:], _WIDTH)}")
    return 0 if shown else 1


if __name__ == "__main__":
    sys.exit(run(main, "harness.transcripts", about=__doc__))
