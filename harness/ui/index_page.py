"""The page of all sessions and sweeps below the folder, and what changes on it."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.ledger.chain import FILE_NAME
from harness.ledger.record_parts import moment
from harness.ledger.session_record import SessionRecord
from harness.ledger.sweep_record import read as read_sweep
from harness.report.charts.curves import sparkline_chart
from harness.report.escape import as_html, one_line
from harness.report.headline import headline
from harness.report.html.pieces import section, table
from harness.report.words import cost_text, duration
from harness.ui.machine import machine_table, running
from harness.ui.places import Places
from harness.ui.watched import Watched

_Mark = tuple[int, int, bool]


@dataclass(frozen=True, slots=True)
class SessionCard:
    """What the index says of a session. mark: of its ledger and whether it runs, when this was drawn."""

    mark: _Mark
    html: str
    doing: str


class SessionIndex:
    """Draws a card again when its ledger has grown or its process came or went; holds no rows of the others."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._cards: dict[str, SessionCard] = {}
        self._running: set[str] = set()
        self.refresh()

    def refresh(self) -> None:
        """Looks which sessions there are, and which have a process."""
        self._places.find()
        self._running = running(self._places.sessions)

    def look(self, seconds: float = 0.3) -> dict[str, str]:
        """Cards that were drawn anew; no other is begun after so many seconds: reading a long ledger takes a moment."""
        began = time.monotonic()
        self.refresh()
        sessions = self._places.sessions
        drawn: dict[str, str] = {}
        for key, folder in self._newest_first(sessions):
            mark = self._mark(key, folder)
            old = self._cards.get(key)
            if old is not None and old.mark == mark:
                continue
            if drawn and time.monotonic() - began > seconds:
                break
            self._cards[key] = self._card(key, folder, mark)
            drawn[key] = self._cards[key].html
        self._cards = {key: card for key, card in self._cards.items() if key in sessions}
        return drawn

    def _newest_first(self, sessions: dict[str, Path]) -> list[tuple[str, Path]]:
        return sorted(sessions.items(), key=lambda entry: -self._mark(*entry)[0])

    def _mark(self, key: str, folder: Path) -> _Mark:
        try:
            seen = (folder / FILE_NAME).stat()
        except OSError:
            return (0, 0, False)
        return (seen.st_mtime_ns, seen.st_size, key in self._running)

    def _card(self, key: str, folder: Path, mark: _Mark) -> SessionCard:
        watched = self._places.watched(key)
        if watched is None:
            return SessionCard(mark, "", "")
        with watched.lock:
            watched.look()
            runs = key in self._running
            doing = doing_text(watched) if runs else ""
            return SessionCard(mark, _card_html(key, self._places.relative(folder), watched, runs), doing)

    def cards(self) -> str:
        """All of them, the one that was written last first; a placeholder for those not read yet."""
        entries = self._newest_first(self._places.sessions)
        return "".join(self._shown(key, folder) for key, folder in entries)

    def _shown(self, key: str, folder: Path) -> str:
        if key in self._cards:
            return self._cards[key].html
        name = as_html(self._places.relative(folder), 120)
        return (
            f'<a class="card" id="s{key}" href="s/{key}/"><h3>{name}</h3><p class="soft">being read …</p></a>'
        )

    def machine(self) -> str:
        """The machine's load and what each running session does."""
        who = [
            (self._places.relative(self._places.sessions[key]), self._cards[key].doing)
            for key in sorted(self._running)
            if key in self._cards and key in self._places.sessions
        ]
        return machine_table(_with_waits(who))

    def sweeps(self) -> str:
        """Every sweep: its arms, and the page that compares them."""
        return "".join(self._sweep(key, folder) for key, folder in sorted(self._places.sweeps.items()))

    def _sweep(self, key: str, folder: Path) -> str:
        rows = read_sweep(folder)
        arms: dict[str, object] = next((row["arms"] for row in rows if isinstance(row.get("arms"), dict)), {})
        ended = {str(row.get("arm")): row.get("code") for row in rows if row.get("kind") == "arm_ended"}
        started = {str(row.get("arm")): row.get("gpu") for row in rows if row.get("kind") == "arm_started"}
        listed = []
        for arm in arms:
            state = "waits for a place"
            if arm in ended:
                state = "ended" if ended[arm] == 0 else f"failed with code {ended[arm]}"
            elif arm in started:
                gpu = started[arm]
                state = "started" if gpu is None else f"started on GPU {gpu}"
            listed.append((one_line(arm, 120), state))
        name = as_html(self._places.relative(folder), 120)
        link = f'<p><a href="compare/{key}/">compare the arms of {name}</a></p>'
        return link + table(("arm", "state"), listed)


def _with_waits(who: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Whoever runs, and neither measures nor thinks, waits for those that measure."""
    entries = list(who)
    busy = [name for name, doing in entries if doing.startswith("trial")]
    waits = (
        f"between two trials, or waits for {one_line(', '.join(busy), 80)}" if busy else "between two trials"
    )
    return [(name, doing or waits) for name, doing in entries]


def doing_text(watched: Watched) -> str:
    """What the session does now; "" between two trials."""
    session = watched.record
    for trial in session.under_way.values():
        began = moment(trial.start.time)
        since = duration(time.time() - began.timestamp()) if began else "?"
        return f"trial {one_line(trial.trial_id, 40)} since {since}"
    return f"agent works on proposal {session.asked}" if session.thinking else ""


def state_of(session: SessionRecord, runs: bool) -> tuple[str, str]:
    """(words, style): running, ended, or interrupted."""
    if runs:
        return "running", "good"
    if session.ended:
        return "ended", ""
    return "interrupted", "bad"


def _card_html(key: str, name: str, watched: Watched, runs: bool) -> str:
    session = watched.record
    words, style = state_of(session, runs)
    broken = f'<p class="decision crash">{as_html(watched.problem, 200)}</p>' if watched.problem else ""
    about = (
        f"task {session.started.task or '?'} · agent {session.started.agent or '?'} · {cost_text(session)}"
    )
    return (
        f'<a class="card" id="s{key}" href="s/{key}/" data-state="{as_html(words)}">'
        f'<h3>{as_html(name, 120)}</h3><ul class="chips"><li class="{style}">{words}</li></ul>'
        f"<p>{as_html(headline(session))}</p>{sparkline_chart(session)}{broken}"
        f'<p class="soft">{as_html(one_line(about, 200))}</p></a>'
    )


def index_body(index: SessionIndex, name: str) -> str:
    """The whole page. name: of the folder."""
    sweeps = index.sweeps()
    cards = f'<div class="cards" id="cards">{index.cards()}</div>'
    search = '<input id="search" type="search" placeholder="filter  ( / )" aria-label="filter sessions">'
    everything = '<p><a href="compare/all/">compare all sessions of this page</a></p>'
    return (
        f"<header><h1>Sessions below {as_html(name, 120)}</h1></header>"
        f'<div class="tools">{search}</div>{cards}'
        + section("Sweeps and comparisons", f'<div data-part="sweeps">{sweeps}</div>{everything}')
        + section("Machine", f'<div data-part="machine">{index.machine()}</div>')
    )
