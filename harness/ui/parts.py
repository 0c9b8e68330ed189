"""The parts that a session's page is made of, and when each has to be drawn again: the report's own functions."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.ledger.live_trial import live_curve
from harness.ledger.record_parts import TrialRecord, moment, number
from harness.ledger.session_record import SessionRecord
from harness.report.charts.curves import running_chart
from harness.report.escape import as_html, one_line
from harness.report.html.evidence import cost, isolation, reproduction, settings, trials
from harness.report.html.page import classes, gains, noise_section, top, transfers, verdicts
from harness.report.html.pieces import section
from harness.report.html.transcripts import attempts
from harness.report.terminal.lines import PLAN
from harness.report.words import duration
from harness.ui.watched import Watched


@dataclass(frozen=True, slots=True)
class PagePart:
    """draw: HTML of the part. often: with every row and every word of the agent; else only when something is settled.

    lazy: its heading, of a part that is fetched when it is opened.
    """

    name: str
    draw: Callable[[Watched], str]
    often: bool = False
    lazy: str = ""


def _now(watched: Watched) -> str:
    """Trials under way with their clocks, the agent at work, the last notice but those of the plan."""
    session = watched.record
    lines = [_trial(trial) + _curve(watched, trial) for trial in [*session.under_way.values()][-6:]]
    if session.thinking:
        lines.append(f"<p>The agent works on proposal {session.asked}.</p>")
    if not lines:
        lines.append("<p>The session has ended.</p>" if session.ended else "<p>Between two trials.</p>")
    lines += _agent(watched)
    said = [
        notice for notice in session.notices if not notice.text.startswith(PLAN)
    ]  # of what is to come: it began
    if said:
        last = said[-1]
        lines.append(f'<p class="soft">notice {as_html(last.time[11:19])}: {as_html(last.text, 400)}</p>')
    return section("Now", *lines)


def _trial(trial: TrialRecord) -> str:
    """A bar that the page moves on by itself; its numbers are seconds."""
    began = moment(trial.start.time)
    elapsed = max(0.0, time.time() - began.timestamp()) if began else 0.0
    most = (trial.clock.seconds or 1.0) + trial.clock.startup_seconds
    name = f"{one_line(trial.trial_id, 40)} ({one_line(trial.role.value.replace('_', ' '), 40)}, seed {trial.seed})"
    return (
        f'<p class="under-way"><progress max="{most:.0f}" value="{min(elapsed, most):.1f}"></progress> '
        f'{as_html(name)} <span class="soft">since <span data-seconds="{elapsed:.0f}">{duration(elapsed)}</span>'
        f" of at most {duration(most)}</span></p>"
    )


def _curve(watched: Watched, trial: TrialRecord) -> str:
    """What its program tells of its loss so far, beside one of the baseline's."""
    return running_chart(watched.record, live_curve(watched.folder, trial.trial_id))


def _agent(watched: Watched) -> list[str]:
    """Its own words: data."""
    said = watched.agent
    if not said or watched.record.ended:
        return []
    cost_words = f"${number(said.get('dollars')):.2f}, {number(said.get('tokens')):,.0f} tokens"
    head = f"agent, proposal {one_line(said.get('proposal'), 8)}: {one_line(said.get('doing'), 120)} ({cost_words})"
    lines = said.get("lines")
    shown = "\n".join(one_line(line, 200) for line in lines[-6:]) if isinstance(lines, list) else ""
    return [f"<p>{as_html(head)}</p>", f"<pre>{as_html(shown)}</pre>" if shown else ""]


def _of(draw: Callable[[SessionRecord], str]) -> Callable[[Watched], str]:
    return lambda watched: draw(watched.record)


def _problem(watched: Watched) -> str:
    if not watched.problem:
        return ""
    return f'<div class="banner">Shown up to here only, the ledger is damaged: {as_html(watched.problem, 400)}</div>'


BEFORE = (
    PagePart("problem", _problem, often=True),
    PagePart("top", _of(top), often=True),
    PagePart("now", _now, often=True),
)
BETWEEN = (
    PagePart("gains", _of(gains)),
    PagePart("transfers", _of(transfers)),
    PagePart("verdicts", _of(verdicts)),
    PagePart("classes", _of(classes)),
)
AFTER = (
    PagePart("attempts", lambda watched: attempts(watched.record, watched.folder), lazy="What to look into"),
    PagePart("noise", _of(noise_section)),
    PagePart("cost", _of(cost)),
    PagePart("isolation", _of(isolation)),
    PagePart("trials", _of(trials), lazy="Every trial"),
    PagePart(
        "reproduction", lambda watched: reproduction(watched.record, watched.folder), lazy="How to reproduce"
    ),
    PagePart("settings", _of(settings), lazy="Settings"),
)
PARTS = {part.name: part for part in (*BEFORE, *BETWEEN, *AFTER)}


def stamp(part: PagePart, watched: Watched) -> int:
    """Grows when the part has to be drawn again."""
    return watched.length + watched.said if part.often else watched.turned


def shell(part: PagePart, watched: Watched) -> str:
    """The part in its place on a new page; a lazy one as a fold that fetches it."""
    if not part.lazy:
        return f'<div data-part="{part.name}">{part.draw(watched)}</div>'
    return (
        f'<details class="plain lazy" data-fetch="part/{part.name}"><summary>{as_html(part.lazy)}</summary>'
        "<div></div></details>"
    )
