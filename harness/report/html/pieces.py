"""Pieces of a page. Everything that comes from a ledger passes through as_html on its way."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from harness.report.charts.paint import chart_css, palette_css
from harness.report.escape import as_html
from harness.report.glossary import explained

Cell = str | int | float | None


@cache
def style() -> str:
    """The one style sheet of all pages."""
    own = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    return palette_css() + chart_css() + own


def source_hash(text: str) -> str:
    """The source that a content security policy allows for exactly this style or script."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def page(title: str, body: str) -> str:
    """A whole document: no script, nothing is loaded, no style but its own. body: HTML."""
    policy = f"default-src 'none'; style-src {source_hash(style())}; base-uri 'none'; form-action 'none'"
    return document(title, "", body).replace(
        "<title>", f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>', 1
    )


def document(title: str, head: str, body: str) -> str:
    """A page of the one style. head, body: HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{as_html(title, 120)}</title><style>{style()}</style>{head}</head>"
        f"<body>{body}</body></html>\n"
    )


def tile(label: str, value: str, about: str = "", term: str = "") -> str:
    """One number to see at a glance. term: the glossary's word that the label is explained by."""
    shown = explained(term or label, label)
    return (
        f'<div class="tile"><div class="label">{shown}</div>'
        f'<div class="value">{as_html(value)}</div><div class="about">{as_html(about)}</div></div>'
    )


def table(headings: Sequence[str], rows: Iterable[Sequence[Cell]], numeric: Iterable[int] = ()) -> str:
    """numeric: columns that are set right. Empty without rows."""
    right = set(numeric)
    body = "".join(f"<tr>{_cells(row, right)}</tr>" for row in rows)
    if not body:
        return ""
    style = dict.fromkeys(right, ' class="n"')
    head = "".join(f"<th{style.get(i, '')}>{as_html(text)}</th>" for i, text in enumerate(headings))
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cells(row: Sequence[Cell], right: set[int]) -> str:
    styles = ["n" if column in right else "" for column in range(len(row))]
    texts = ["" if cell is None else as_html(cell, 2000) for cell in row]
    return "".join(f'<td class="{style}">{text}</td>' for style, text in zip(styles, texts, strict=True))


def bars(headings: Sequence[str], rows: Iterable[tuple[str, str, int]]) -> str:
    """A table whose last column is a count, drawn as a bar."""
    kept = list(rows)
    most = max((count for *_, count in kept), default=1) or 1
    head = (
        "".join(f"<th>{as_html(text)}</th>" for text in headings[:-1])
        + f'<th class="n">{as_html(headings[-1])}</th>'
    )
    body = "".join(
        f"<tr><td>{as_html(who, 80)}</td><td>{as_html(why, 160)}</td><td class='n'>{count}</td>"
        f'<td class="wide">{_bar(count / most)}</td></tr>'
        for who, why, count in kept
    )
    return f'<div class="scroll"><table><thead><tr>{head}<th></th></tr></thead><tbody>{body}</tbody></table></div>'


def _bar(share: float) -> str:
    """Its length is a number of the drawing, so that no style stands in the markup."""
    return (
        '<svg class="meter" viewBox="0 0 100 4" preserveAspectRatio="none">'
        f'<rect width="{100 * share:.1f}" height="4"/></svg>'
    )


def diff(patch: str, limit: int = 40_000) -> str:
    """A unified diff, coloured by line."""
    patch = patch.strip("\n")
    clipped = patch if len(patch) <= limit else patch[:limit] + "\n… clipped; the whole patch is in patches/"
    return (
        f"<pre>{''.join(_diff_line(line) for line in clipped.split(chr(10)))}</pre>" if patch.strip() else ""
    )


def _diff_line(line: str) -> str:
    text = as_html(line, 2000)
    if line.startswith(("@@", "diff ", "+++", "---", "index ")):
        return f'<span class="h">{text}</span>'
    style = {"+": "a", "-": "r"}.get(line[:1], "")
    return f'<span class="{style}">{text}</span>' if style else f"{text}\n"


def fold(summary: str, body: str, style: str = "plain") -> str:
    """summary, body: HTML."""
    return f'<details class="{style}"><summary>{summary}</summary><div>{body}</div></details>'


def section(title: str, *body: str, about: str = "") -> str:
    """Nothing at all when the body is empty."""
    content = "".join(body)
    said = f'<p class="soft">{as_html(about)}</p>' if about else ""
    return f"<section><h2>{as_html(title)}</h2>{said}{content}</section>" if content else ""


def chips(entries: Iterable[tuple[str, str]]) -> str:
    """(text, style) pairs."""
    items = "".join(f'<li class="{style}">{as_html(text, 120)}</li>' for text, style in entries if text)
    return f'<ul class="chips">{items}</ul>'


def pre(text: str, limit: int = 20_000) -> str:
    return f"<pre>{as_html(text, limit)}</pre>" if text.strip() else ""
