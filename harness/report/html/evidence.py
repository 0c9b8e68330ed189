"""The report's evidence: cost, isolation, every trial, how each number can be made again, the settings."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.ledger.record_parts import number
from harness.ledger.rows import CertificateRow
from harness.ledger.session_record import SessionRecord
from harness.records import Role
from harness.report.analysis import seconds_by_role
from harness.report.escape import as_html, one_line
from harness.report.html.pieces import fold, pre, section, table
from harness.report.redact import redacted
from harness.report.words import duration, level_text, score_text


def cost(session: SessionRecord) -> str:
    """Where the machine's time and the agent's money went."""
    rows = [
        (
            role.replace("_", " "),
            count,
            duration(seconds),
            f"{seconds / max(1e-9, session.trial_seconds()):.0%}",
        )
        for role, (count, seconds) in sorted(seconds_by_role(session).items(), key=lambda item: -item[1][1])
    ]
    words = []
    if session.ended is not None:
        words.append(f"Trials held the machine for {session.ended.busy_share:.0%} of the session.")
    if session.dollars or session.tokens:
        each = session.dollars / max(1, len(session.keeps))
        words.append(
            f"The agent used {session.tokens:,} tokens for ${session.dollars:.2f}; ${each:.2f} a keep."
        )
    spent = [(part.name, f"{part.seconds:.1f}", f"{part.share:.1%}") for part in session.time_shares]
    return section(
        "Cost",
        table(("wall-clock time for", "seconds", "share"), spent, (1, 2)),
        table(("trials of", "count", "time", "share"), rows, (1, 2, 3)),
        about=" ".join(words),
    )


def isolation(session: SessionRecord) -> str:
    """What the harness's own attacks found on this machine."""
    rows = [(name, _finding(value)) for name, value in session.started.findings.items()]
    words = f"Level {level_text(session.started.level)}, measured by self-attacks before the first trial."
    if not session.isolation_certified:
        words += " Not proven: numbers of this session cannot be trusted against a hostile candidate."
    return section("Isolation", table(("self-attack", "result"), rows), about=words)


def _finding(value: object) -> str:
    if isinstance(value, bool):
        return "blocked" if value else "NOT blocked"
    return one_line(json.dumps(value, default=str) if isinstance(value, dict | list) else value, 200)


def trials(session: SessionRecord) -> str:
    """All trials in one fold."""
    billed = ("billed s", "load s", "answers s")
    headings = ("trial", "role", "commit", "seed", "split", "outcome", session.metric, *billed)
    rows = [
        (
            trial.trial_id,
            trial.role.replace("_", " "),
            trial.commit[:10],
            trial.seed,
            ", ".join(trial.values),
            " ".join(filter(None, (trial.outcome or "never finished", trial.measured.reason))),
            "-" if trial.value is None else repr(trial.value),
            f"{trial.measured.billed_seconds:.1f}",
            _inference(trial.side, "load_seconds"),
            _inference(trial.side, "answer_seconds"),
        )
        for trial in session.trials
    ]
    about = (
        "Inference cost: what a predictor worked until its first answer, and for all answers, in the clock of training;"
        " beyond a multiple of the baseline's (scoring.load_factor, scoring.answer_factor) a candidate is rejected."
    )
    if any(trial.start.budget_counted_by == "candidate" for trial in session.trials):
        about += (
            " The budget is a number of steps or tokens, which each candidate counts itself: its own word."
        )
    shown = table(headings, rows, (3, 6, 7, 8, 9))
    return section("Every trial", fold(f"{len(rows)} trials with commits and seeds", shown), about=about)


def _inference(side: Mapping[str, Any], name: str) -> str:
    value = side.get(f"inference.{name}")
    return "-" if value is None else f"{number(value):.2f}"


def reproduction(session: SessionRecord, folder: Path) -> str:
    """Commands; and which trials each headline number is made of."""
    arguments = session.started.arguments
    again = shlex.join(["python", "-m", "harness", *(one_line(each, 200) for each in arguments)])
    repository = shlex.quote(str(folder / "repository.git"))
    head = one_line(session.certificate.head_commit, 40) if session.certificate else ""
    place = shlex.quote(str(folder))
    commands = [
        ("check that no row was changed", f"python -m harness.ledger verify {place}"),
        ("make this page again", f"python -m harness.report {place}"),
        ("the same configuration, new seeds", f"{again} repeat={_next_repeat(session)}"),
        ("the kept changes", f"git --git-dir {repository} log --stat --all"),
    ]
    if head:
        commands.append(
            ("what the certified gain is a gain of", f"git --git-dir {repository} show {shlex.quote(head)}")
        )
    listed = "".join(
        f"<p class='soft'>{as_html(about)}</p>{pre(command, 2000)}" for about, command in commands
    )
    return section(
        "How to reproduce each number",
        _sources(session),
        listed,
        about="A number is made of trials, a trial of a commit and a seed, drawn after the commit was made.",
    )


def _next_repeat(session: SessionRecord) -> int:
    return int(number(session.started.config.get("repeat"))) + 1


def _sources(session: SessionRecord) -> str:
    def of(role: Role) -> str:
        found = [trial for trial in session.trials_by_role[role] if trial.value is not None]
        return ", ".join(f"{trial.trial_id} (seed {trial.seed})" for trial in found[-12:])

    rows: list[tuple[str, str, str]] = [
        ("baseline on val", score_text(session.baseline_score), of(Role.BASELINE))
    ]
    for keep in session.keeps[-1:]:
        used = ", ".join(f"{trial.trial_id} (seed {trial.seed})" for trial in keep.candidate_trials)
        rows.append(("incumbent on val", score_text(keep.score), used))
    row = session.certificate or CertificateRow()
    for name, scores, role in (
        ("head, sealed", row.head_scores, Role.CERTIFICATE_HEAD),
        ("baseline, sealed", row.baseline_scores, Role.CERTIFICATE_BASELINE),
    ):
        values = [value for value in scores if value is not None]
        if values:
            rows.append((name, score_text(sum(values) / len(values)), of(role)))
    return table(("number", "value", "mean of trials"), rows, (1,))


def settings(session: SessionRecord) -> str:
    """Configuration without secrets, the program, the machine."""
    start = session.started
    config = json.dumps(redacted(start.config), indent=2, default=str, sort_keys=True)
    machine = json.dumps(redacted(start.machine), indent=2, default=str)
    marks = (("version", start.version), ("fingerprint", start.fingerprint))
    rows = [(key, one_line(value, 80)) for key, value in marks if value]
    notices = [(row.time[11:19], one_line(row.text, 300)) for row in session.notices[-200:]]
    return section(
        "Settings",
        table(("what", "value"), rows),
        fold("configuration", pre(config, 60_000)),
        fold("program given to the agent", pre(start.program, 60_000)),
        fold("machine", pre(machine)),
        fold(f"notices ({len(session.notices)})", table(("time", "notice"), notices)) if notices else "",
    )
