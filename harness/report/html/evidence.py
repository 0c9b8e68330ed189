"""The report's evidence: cost, isolation, every trial, how each number can be made again, the settings."""

import json
import shlex
from pathlib import Path

from harness.ledger.record_parts import number
from harness.ledger.session_record import Session
from harness.report.analysis import seconds_by_role
from harness.report.escape import as_html, one_line
from harness.report.html.pieces import fold, pre, section, table
from harness.report.redact import redacted
from harness.report.words import duration, level_text, score_text


def cost(session: Session) -> str:
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
    if session.ended.get("busy_share") is not None:
        words.append(f"Trials held the machine for {number(session.ended['busy_share']):.0%} of the session.")
    if session.dollars or session.tokens:
        each = session.dollars / max(1, len(session.keeps))
        words.append(
            f"The agent used {session.tokens:,} tokens for ${session.dollars:.2f}; ${each:.2f} a keep."
        )
    return section(
        "Cost", table(("trials of", "count", "time", "share"), rows, (1, 2, 3)), about=" ".join(words)
    )


def isolation(session: Session) -> str:
    """What the harness's own attacks found on this machine."""
    findings = session.started.get("findings") or {}
    rows = [(str(name), _finding(value)) for name, value in findings.items()]
    words = (
        f"Level {level_text(session.started.get('level'))}, measured by self-attacks before the first trial."
    )
    if not session.isolation_certified:
        words += " Not proven: numbers of this session cannot be trusted against a hostile candidate."
    return section("Isolation", table(("self-attack", "result"), rows), about=words)


def _finding(value: object) -> str:
    if isinstance(value, bool):
        return "blocked" if value else "NOT blocked"
    return one_line(json.dumps(value, default=str) if isinstance(value, dict | list) else value, 200)


def trials(session: Session) -> str:
    """All trials in one fold."""
    headings = ("trial", "role", "commit", "seed", "split", "outcome", session.metric, "billed s")
    rows = [
        (
            trial.trial_id,
            trial.role.replace("_", " "),
            trial.commit[:10],
            trial.seed,
            ", ".join(trial.values),
            " ".join(filter(None, (trial.outcome or "never finished", trial.reason))),
            "-" if trial.value is None else repr(trial.value),
            f"{trial.billed_seconds:.1f}",
        )
        for trial in session.trials
    ]
    return section(
        "Every trial", fold(f"{len(rows)} trials with commits and seeds", table(headings, rows, (3, 6, 7)))
    )


def reproduction(session: Session, folder: Path) -> str:
    """Commands; and which trials each headline number is made of."""
    choices = session.started.get("choices") or {}
    given = session.started.get("arguments")
    arguments = (
        given if isinstance(given, list) else [f"{group}={choice}" for group, choice in choices.items()]
    )
    again = shlex.join(["python", "-m", "harness", *(one_line(each, 200) for each in arguments)])
    repository = shlex.quote(str(folder / "repository.git"))
    head = one_line(session.certificate.get("head_commit") or "", 40)
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


def _next_repeat(session: Session) -> int:
    config = session.started.get("config")
    return int(number(config.get("repeat"))) + 1 if isinstance(config, dict) else 1


def _sources(session: Session) -> str:
    def of(role: str) -> str:
        found = [trial for trial in session.trials if trial.role == role and trial.value is not None]
        return ", ".join(f"{trial.trial_id} (seed {trial.seed})" for trial in found[-12:])

    rows: list[tuple[str, str, str]] = [
        ("baseline on val", score_text(session.baseline_score), of("baseline"))
    ]
    for keep in session.keeps[-1:]:
        used = ", ".join(f"{trial.trial_id} (seed {trial.seed})" for trial in keep.candidate_trials)
        rows.append(("incumbent on val", score_text(keep.score), used))
    for name, key in (("head, sealed", "head"), ("baseline, sealed", "baseline")):
        values = [
            number(value) for value in session.certificate.get(f"{key}_scores") or [] if value is not None
        ]
        if values:
            mean = score_text(sum(values) / len(values))
            rows.append((name, mean, of(f"certificate_{key}")))
    return table(("number", "value", "mean of trials"), rows, (1,))


def settings(session: Session) -> str:
    """Configuration without secrets, the program, the machine."""
    start = session.started
    config = json.dumps(redacted(start.get("config") or {}), indent=2, default=str, sort_keys=True)
    machine = json.dumps(redacted(start.get("machine") or {}), indent=2, default=str)
    marks = [(key, start.get(key)) for key in ("version", "fingerprint", "program_sha256", "secret_sha256")]
    rows = [(key.replace("_", " "), one_line(value, 80)) for key, value in marks if value]
    notices = [
        (str(row.get("time", ""))[11:19], one_line(row.get("text", ""), 300))
        for row in session.notices[-200:]
    ]
    return section(
        "Settings",
        table(("what", "value"), rows),
        fold("configuration", pre(config, 60_000)),
        fold("program given to the agent", pre(str(start.get("program") or ""), 60_000)),
        fold("machine", pre(machine)),
        fold(f"notices ({len(session.notices)})", table(("time", "notice"), notices)) if notices else "",
    )
