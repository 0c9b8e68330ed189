"""`harness glossary [WORD ...]`: what the words mean that sessions, reports and certificates use.

Without a word all are explained. A page of a report explains each where it is pointed at, and at its end.

Examples:

    harness glossary
    harness glossary sd "rolled back"
"""

import shutil
import sys
import textwrap
from collections.abc import Mapping

from harness.commands import run
from harness.config.choices import did_you_mean
from harness.errors import UserError
from harness.report.glossary import GLOSSARY

_MOST_WIDTH = 110


def main(arguments: list[str]) -> int:
    """Raises UserError for a word that is not explained."""
    if any(each.startswith("-") for each in arguments):
        raise UserError("usage: harness glossary [WORD ...]")
    for term, about in asked(arguments).items():
        print(entry(term, about, min(shutil.get_terminal_size().columns, _MOST_WIDTH)))
    return 0


def asked(words: list[str]) -> Mapping[str, str]:
    """The terms that are meant, in any case; all of them without a word. Raises UserError."""
    every = dict(sorted(GLOSSARY.items(), key=lambda pair: pair[0].lower()))
    if not words:
        return every
    known = {term.lower(): term for term in every}
    for word in words:
        if word.lower() not in known:
            raise UserError(f"{word!r} is not explained; {did_you_mean(word, every)}")
    return {known[word.lower()]: every[known[word.lower()]] for word in words}


def entry(term: str, about: str, width: int) -> str:
    """The term and, indented, its sentence."""
    return f"{term}\n" + textwrap.fill(about, width, initial_indent="    ", subsequent_indent="    ")


if __name__ == "__main__":
    sys.exit(run(main, "harness.glossary", about=__doc__))
