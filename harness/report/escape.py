"""Untrusted text made harmless for terminals, tables, Markdown and HTML. Standard library only."""

import html
import re

ELLIPSIS = "…"
_BREAKS = str.maketrans("", "", "\n\t")
_MARKUP = re.compile(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])")  # an underscore, where a word begins or ends
_AT_START = re.compile(  # a numbered list; a quotation, a heading, a list, a rule
    r"^(\d{1,9}(?=[.)](?: |$))|(?=>|#{1,6}(?: |$)|[-+] |[-=]{2,} *$))"
)
_FORMULA_SIGNS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last four: of full width
_INERT_ALONE = (*_FORMULA_SIGNS, '"')


def _visible(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def one_line(text: object, limit: int = 200) -> str:
    """At most `limit` characters on one line; control, format and surrogate characters become escapes.

    Line breaks and tabs become spaces, so a forged line cannot be told from no line at all.
    """
    raw = str(text)[: 4 * limit]
    words = " ".join(raw.split())
    safe = words if words.isprintable() else "".join(c if c.isprintable() else _visible(c) for c in words)
    return safe if len(safe) <= limit else safe[: limit - 1] + ELLIPSIS


def lines(text: object, limit: int = 100_000) -> str:
    """Like one_line, but line feeds and tabs stay and the limit is generous."""
    raw = str(text)
    clipped = raw if len(raw) <= limit else raw[:limit] + "\n" + ELLIPSIS
    if clipped.isprintable() or clipped.translate(_BREAKS).isprintable():
        return clipped
    return "".join(c if c.isprintable() or c in "\n\t" else _visible(c) for c in clipped)


def as_html(text: object, limit: int = 100_000) -> str:
    """Text for an HTML body or a quoted attribute."""
    return html.escape(lines(text, limit), quote=True)


def as_markdown(text: object, limit: int = 200) -> str:
    """Text for one cell of a Markdown table or for a line: nothing in it is markup, not even an HTML tag.

    Escaped is what could be markup where it stands, so that the source can be read, too: a link needs its brackets, an
    underscore inside a word or a ">" behind other text is nothing.
    """
    safe = one_line(text, limit)
    said = _MARKUP.sub(r"\\\g<0>", safe.replace("&", "&amp;").replace("<", "&lt;"))
    return _AT_START.sub(r"\1\\", said, count=1)


def table_cell(text: object, limit: int = 300) -> str:
    """Text for one cell of a tab-separated or CSV file: no tab, no line break, nothing that a spreadsheet executes.

    Nor does it begin with a quotation mark: whoever reads tabs would unpack `"=1+1"`, and take the rows after a mark
    that is never closed for a part of it.
    """
    safe = one_line(text, limit)
    return f"'{safe}" if safe.lstrip().startswith(_INERT_ALONE) else safe
