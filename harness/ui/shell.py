"""The page around everything: one document, one script, one style, allowed by their hashes and nothing else."""

from functools import cache
from pathlib import Path

from harness.report.escape import as_html
from harness.report.html.pieces import document, source_hash, style

_KEYS = (
    ("j, k", "next and previous proposal"),
    ("o, Enter", "open or close it"),
    ("/", "search"),
    ("Esc", "leave the search, clear it"),
    ("d", "dark or bright"),
    ("g", "back to all sessions"),
    ("?", "these keys"),
)


@cache
def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def headers() -> dict[str, str]:
    """Of every answer: nothing is loaded from elsewhere, sent elsewhere, framed, kept or guessed at."""
    policy = (
        "default-src 'none'",
        f"script-src {source_hash(_file('page.js'))}",
        f"style-src {source_hash(style())} {source_hash(_file('page.css'))}",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types harness",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cache-Control": "no-store",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    }


def live_page(title: str, body: str, *, home: str, tools: str = "", events: str = "") -> str:
    """A document. body, tools: HTML. home: address of the index. events: where updates come from, if they do."""
    keys = "".join(f"<dt>{as_html(key)}</dt><dd>{about}</dd>" for key, about in _KEYS)
    bar = (
        f'<nav class="bar"><a id="home" href="{as_html(home)}">all sessions</a>{tools}'
        '<span class="space"></span><span id="state" class="soft" role="status"></span>'
        '<button type="button" id="theme" aria-label="dark or bright">◐</button>'
        '<button type="button" id="help" aria-label="keys">?</button></nav>'
        f'<dialog id="keys"><dl>{keys}</dl><p class="soft">Esc closes this.</p></dialog>'
    )
    told = f' data-events="{as_html(events)}"' if events else ""
    head = f"<style>{_file('page.css')}</style>"
    whole = f"{bar}<main{told}>{body}</main><script>{_file('page.js')}</script>"
    return document(title, head, whole)
