"""The live view: what a session is doing, as rich renderables. Texts are Text objects: no markup is read."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Group
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.ledger.record_parts import ProposalRecord, TrialRecord, moment, number, plain_mapping
from harness.ledger.session_record import CERTIFICATE_ROLES, SessionRecord
from harness.report.analysis import claimed_gain
from harness.report.escape import one_line
from harness.report.terminal.lines import HEADINGS, PLAN, table_rows
from harness.report.words import CANNOT_TELL, cost_text, duration, score_text, signed, sparkline, title, why

_MOST_SHOWN = 8  # trials under way
_STYLES = {"keep": "bold green", "discard": "yellow", "crash": "red"}


def live_view(
    session: SessionRecord,
    now: datetime | None = None,
    verdicts: int = 8,
    agent: Mapping[str, Any] | None = None,
    doing: str = "between two trials",
) -> Panel:
    """The whole view at the time `now` (default: this moment). agent: what it does now, as it says itself.

    verdicts: how many of the last ones. doing: what goes on while no trial is under way.
    """
    now = now or datetime.now(UTC)
    running = [_running(session, now, doing), *_agent(agent or {})]
    last = _verdicts(session, verdicts) if verdicts else []
    parts = [_scores(session), *running, *last, _footer(session, now)]
    style = "cyan" if session.isolation_certified else "red"
    return Panel(Group(*parts), title=Text(title(session)), border_style=style)


def final_table(session: SessionRecord) -> Table:
    """Every verdict with its reason."""
    table = Table(show_edge=False, pad_edge=False)
    for heading in HEADINGS:
        table.add_column(
            heading, justify="right" if heading in ("proposal", "score") else "left", overflow="fold"
        )
    for proposal, row in zip(session.decided, table_rows(session), strict=True):
        style = _STYLES.get(proposal.status, "")
        table.add_row(*(Text(cell, style=style if index == 1 else "") for index, cell in enumerate(row)))
    return table


def _scores(session: SessionRecord) -> Text:
    baseline, incumbent = session.baseline_score, session.incumbent_score
    text = Text(f"{one_line(session.metric, 20)}  incumbent {score_text(incumbent)}", style="bold")
    if (gain := claimed_gain(session)) is not None:
        text.append(f"  baseline {score_text(baseline)}  claimed gain {signed(gain)}", style="not bold")
    for name, value in session.started.references.items():
        text.append(f"  {one_line(name, 20)} {score_text(value)}", style="dim not bold")
    values = [trial.value for trial in session.trials if trial.value is not None]
    if len(values) > 1:
        text.append(f"\n{sparkline(values)}", style="not bold cyan")
        text.append("  scores of trials", style="dim not bold")
    return text


def _running(session: SessionRecord, now: datetime, doing: str) -> Group | Text:
    beside = (TrialRecord(trial.start) for trial in session.ahead.under_way)
    if under_way := [*session.under_way.values(), *beside]:
        return Group(*(_trial(trial, now) for trial in under_way[-_MOST_SHOWN:]))
    if _is_certifying(session):
        return Text(_certifying(session))
    if session.thinking:
        return Text(f"the agent works on proposal {session.asked}")
    last = moment(session.clock.last_time)
    since = f" for {duration((now - last).total_seconds())}" if last else ""
    return Text("the session has ended" if session.ended else f"{doing}{since}", style="dim")


def _is_certifying(session: SessionRecord) -> bool:
    """Its trials have begun; the agent is not waited for, whether or not its last answer came."""
    begun = bool(session.trials) and session.trials[-1].role in CERTIFICATE_ROLES
    return begun and session.certificate is None and session.ended is None


def _certifying(session: SessionRecord) -> str:
    """Between two trials of a certificate."""
    made = sum(session.finished_by_role[role] for role in CERTIFICATE_ROLES)
    asked = 2 * number(plain_mapping(session.started.config.get("budget")).get("certificate"))
    return (
        f"certifying: {made} of {asked:.0f} trials made" if made <= asked else "measuring for the certificate"
    )


def _agent(said: Mapping[str, Any]) -> list[Text]:
    """The agent at work: what it asks, thinks and calls. Its words are data."""
    if not said:
        return []
    price = "list price " if said.get("list_price") else ""
    cost = f"{price}${number(said.get('dollars')):.2f}, {number(said.get('tokens')):,.0f} tokens"
    head = f"agent, proposal {one_line(said.get('proposal'), 8)}: {one_line(said.get('doing'), 100)}"
    words = f"{head}  ({one_line(said.get('requests'), 8)} requests, {cost})"
    texts = [Text(words, style="magenta", no_wrap=True, overflow="ellipsis")]
    lines = said.get("lines")
    for line in lines[-4:] if isinstance(lines, list) else []:
        texts.append(Text(f"  {one_line(line, 140)}", style="dim", no_wrap=True, overflow="ellipsis"))
    return texts


def _trial(trial: TrialRecord, now: datetime) -> Table:
    started = moment(trial.start.time)
    elapsed = (now - started).total_seconds() if started else 0.0
    budget = trial.clock.seconds or 1.0
    startup = trial.clock.startup_seconds
    left = duration(max(0.0, budget + startup - elapsed))
    table = Table.grid(padding=(0, 1))
    name = f"{one_line(trial.trial_id, 24)} ({one_line(trial.role, 20)})"
    words = f"{name} {duration(elapsed)}, at most {left} left"
    table.add_row(Text("▶", style="green"), Text(words), ProgressBar(budget, min(elapsed, budget), width=24))
    return table


def _verdicts(session: SessionRecord, count: int) -> list[Text]:
    return [_decision(proposal) for proposal in session.decided[-count:]]


def _decision(proposal: ProposalRecord) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{proposal.number:>4} ", style="dim")
    word = CANNOT_TELL if proposal.untold else proposal.level or proposal.status
    text.append(f"{one_line(word, 12):<12}", style=_STYLES.get(proposal.status, ""))
    text.append(f"{score_text(proposal.score):>9}  ")
    text.append(one_line(proposal.title or proposal.problem, 60))
    text.append(f"  {why(proposal)}", style="dim")
    return text


def _footer(session: SessionRecord, now: datetime) -> Text:
    last = moment(session.clock.last_time)
    since = (now - last).total_seconds() if last and not session.ended else 0.0
    elapsed = session.active_seconds + max(0.0, since)
    parts = [
        f"{len(session.decided)} decided, {_kept(session)}",
        cost_text(session),
        duration(elapsed),
    ]
    left = None if session.ended else seconds_left(session, elapsed)
    if left is not None:
        parts.append(f"about {duration(left)} left")
    said = [row.text for row in session.notices if not row.text.startswith(PLAN)]  # the plan stands above
    if said:
        parts.append(f"notice: {one_line(said[-1], 100)}")
    return Text(" · ".join(parts), style="dim")


def _kept(session: SessionRecord) -> str:
    """At both levels, where there are two."""
    words = f"{len(session.keeps)} kept"
    if not session.settlements and not session.provisional:
        return words
    steps = len(session.certified_steps)
    return f"{words} ({len(session.provisional)} provisional; {steps} certified {'step' if steps == 1 else 'steps'})"


def seconds_left(session: SessionRecord, elapsed: float) -> float | None:
    """Until the first of the session's limits is reached at the pace so far; None when there is none."""
    limits = session.limits
    spent = {
        "proposals": len(session.decided),
        "trials": len(session.trials),
        "hours": elapsed / 3600,
        "dollars": session.dollars,
        "tokens": session.tokens,
    }
    shares = [spent[name] / limit for name, limit in limits.items()]
    share = max(shares, default=0.0)
    return elapsed * (1 / share - 1) if 0 < share <= 1 else None
