"""The report: one self-contained HTML file. No script, nothing loaded from anywhere, every text escaped."""

from pathlib import Path

from harness.ledger.record_parts import seconds_between
from harness.ledger.session_record import SessionRecord
from harness.report.analysis import categories, claimed_gain, is_tuning, noise, rejections, tuning_share
from harness.report.charts.gain import gain_chart
from harness.report.charts.progress import NARROW, WIDE, progress_chart
from harness.report.escape import as_html
from harness.report.html.claimed import claimed
from harness.report.html.evidence import cost, isolation, reproduction, settings, trials
from harness.report.html.pieces import bars, chips, page, section, table, tile
from harness.report.html.proposals import proposals
from harness.report.html.transcripts import attempts
from harness.report.words import (
    UNVERIFIED,
    certificate_lines,
    duration,
    interval_text,
    level_text,
    score_text,
    signed,
)


def html_report(session: SessionRecord, folder: Path, control: SessionRecord | None = None) -> str:
    """The whole page. folder: the session's, for the commands that reproduce. control: a control session."""
    name = f"{session.started.task or '?'}, agent {session.started.agent or '?'}"
    body = "".join(
        (
            _top(session, name),
            _progress(session, control),
            _gains(session),
            _verdicts(session),
            _classes(session, control),
            claimed(session),
            proposals(session),
            attempts(session, folder),
            _noise(session),
            cost(session),
            isolation(session),
            trials(session),
            reproduction(session, folder),
            settings(session),
        )
    )
    return page(name, body)


def _top(session: SessionRecord, name: str) -> str:
    choices = session.started.choices
    proven = session.isolation_certified
    state = "ended" if session.ended else "not ended"
    level = f"isolation {level_text(session.started.level)}"
    marks = [(f"{group} {choices[group]}", "") for group in ("program", "keep", "budget") if group in choices]
    marks += [(level if proven else f"{level} UNVERIFIED", "good" if proven else "bad"), (state, "")]
    banner = "" if proven else f'<div class="banner">{as_html(UNVERIFIED)}</div>'
    day = session.clock.first_time[:16].replace("T", " ")
    return (
        f'<header><h1>{as_html(name, 120)}</h1><div class="soft">{as_html(day)} UTC, '
        f"{duration(seconds_between(session.clock.first_time, session.clock.last_time))}</div>"
        f"{chips(marks)}{banner}{_headline(session)}{_tiles(session)}</header>"
    )


def _headline(session: SessionRecord) -> str:
    """What may be said of this session, in a sentence."""
    if not session.keeps:
        words = f"Nothing was kept in {len(session.decided)} proposals."
        return f'<p class="headline">{words} The baseline stands.</p>'
    if not session.certificate:
        words = "No certificate yet: every gain below is a claim of the search, selected on the data it is shown on."
        return f'<p class="headline">{words}</p>'
    return f'<p class="headline">{as_html(certificate_lines(session)[0].capitalize())}.</p>'


def _tiles(session: SessionRecord) -> str:
    row, by_search, found = session.certificate, claimed_gain(session), noise(session)
    tiles = []
    if row is not None and row.gain is not None:
        about = f"{interval_text(row)}, p = {row.p:.3g}"
        tiles.append(tile("certified gain", signed(row.gain), about))
    elif session.keeps:
        tiles.append(tile("certified gain", "none", "not measured"))
    if by_search is not None and session.keeps:
        tiles.append(tile("claimed gain", signed(by_search), "the search's own scores, on val"))
    kept = f"{len(session.keeps)} of {len(session.decided)}"
    tiles.append(tile("kept proposals", kept, f"{sum(p.status == 'crash' for p in session.decided)} crashed"))
    about = f"baseline {score_text(session.baseline_score)}"
    tiles.append(tile(f"{session.metric} of the incumbent", score_text(session.incumbent_score), about))
    for name, value in list(session.started.references.items())[:2]:
        tiles.append(tile(f"reference: {name}", score_text(value), "not a result of this session"))
    if found is not None:
        tiles.append(
            tile("noise (sd)", f"{found.sd:.2g}", f"{found.low:.2g} to {found.high:.2g}, df {found.df}")
        )
    held = duration(session.trial_seconds())
    tiles.append(tile("trials", str(len(session.trials)), f"held the machine for {held}"))
    if session.dollars or session.tokens:
        tiles.append(tile("agent", f"${session.dollars:.2f}", f"{session.tokens:,} tokens"))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _progress(session: SessionRecord, control: SessionRecord | None) -> str:
    if not session.decided and not session.baseline_values:
        return ""
    keys = [
        ("keep", "kept, with 95 % interval"),
        ("", "discarded"),
        ("bad", "no score"),
        ("certified", "sealed split"),
    ]
    keys += [("control", f"control: {control.started.agent or '?'}")] if control is not None else []
    legend = "".join(
        f'<span class="key"><i class="{style}"></i>{as_html(text)}</span>' for style, text in keys
    )
    charts = progress_chart(session, WIDE, control) + progress_chart(session, NARROW, control)
    note = (
        "Means over seeds. The green line is the incumbent on val, what the search claims; purple is what fresh "
        "trials of baseline and head gave on the sealed split. Scores far worse than the baseline lie on the edge."
    )
    return section("Progress", f"<figure>{charts}<figcaption>{legend}<br>{note}</figcaption></figure>")


def _gains(session: SessionRecord) -> str:
    charts = gain_chart(session, 900, "wide") + gain_chart(session, 380, "narrow")
    if not charts:
        return ""
    note = (
        "The claimed interval knows the noise of trials and nothing of the selection among proposals, so it is "
        "too high on average. Only the certified line is a result."
    )
    return section("Claimed versus certified", f"<figure>{charts}<figcaption>{note}</figcaption></figure>")


def _verdicts(session: SessionRecord) -> str:
    found = rejections(session)
    if not found:
        return ""
    return section(
        "Why proposals were discarded",
        bars(("by", "reason", "proposals"), found),
        about="A guard's own reason where a guard rejected; otherwise what the trial or the statistics said.",
    )


def _classes(session: SessionRecord, control: SessionRecord | None) -> str:
    """Research or tuning?"""
    found = categories(session)
    rows = [
        (
            row.name,
            row.proposed,
            row.kept,
            signed(row.claimed) if row.kept else "",
            "yes" if is_tuning(row.name) else "",
        )
        for row in found
    ]
    if not rows:
        return ""
    share = tuning_share(session)
    words = "" if share is None else f"{share:.0%} of the claimed gain came from changing numbers only."
    if control is not None:
        row = control.certificate
        gain = (
            f"certified {signed(row.gain or 0.0)}"
            if row is not None
            else f"claimed {signed(claimed_gain(control) or 0.0)}"
        )
        words += f" The control ({control.started.agent or '?'}) reached a gain of {gain} without research."
    headings = ("class", "proposed", "kept", "claimed gain", "only numbers")
    return section("Keeps by class: research or tuning?", table(headings, rows, (1, 2, 3)), about=words)


def _noise(session: SessionRecord) -> str:
    found = noise(session)
    if found is None:
        return ""
    values = ", ".join(score_text(value) for value in session.baseline_values)
    words = (
        f"Pooled within configurations: sd {found.sd:.3g} {session.unit} (95 % interval {found.low:.3g} to "
        f"{found.high:.3g}, {found.df} degrees of freedom; first trials of candidates were selected, so are left out). "
        f"Baseline on val: {values}."
    )
    return section("Noise", f"<p>{as_html(words)}</p>")
