"""The report: one self-contained HTML file. No script, nothing loaded from anywhere, every text escaped."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.ledger.session_record import SessionRecord
from harness.report.analysis import categories, claimed_gain, is_tuning, noise, rejections, tuning_share
from harness.report.charts.gain import gain_chart
from harness.report.charts.marks import key_svg, legend
from harness.report.charts.progress import NARROW, PROPOSALS, WIDE, progress_chart, span_text
from harness.report.escape import as_html, one_line
from harness.report.glossary import glossary_list
from harness.report.headline import headline
from harness.report.html.claimed import claimed
from harness.report.html.evidence import cost, isolation, reproduction, settings, trials
from harness.report.html.pieces import bars, chips, fold, page, section, table, tile
from harness.report.html.proposals import proposals
from harness.report.html.steps import steps
from harness.report.html.transcripts import attempts
from harness.report.words import (
    UNVERIFIED,
    budget_text,
    certificate_lines,
    duration,
    interval_text,
    level_text,
    mean_text,
    score_text,
    signed,
    transfer_word,
)


def html_report(session: SessionRecord, folder: Path, *controls: SessionRecord, axis: str = PROPOSALS) -> str:
    """The whole page. folder: the session's, for the commands that reproduce. controls: control sessions.

    axis: of the progress chart, proposals or hours.
    """
    body = "".join(
        (
            top(session),
            progress(session, controls, axis),
            gains(session),
            transfers(session),
            steps(session),
            verdicts(session),
            classes(session, *controls[:1]),
            claimed(session),
            proposals(session),
            attempts(session, folder),
            noise_section(session),
            cost(session),
            isolation(session),
            trials(session),
            reproduction(session, folder),
            settings(session),
            glossary(),
        )
    )
    return page(name_of(session), body)


def name_of(session: SessionRecord) -> str:
    """The page's title."""
    return f"{session.started.task or '?'}, agent {session.started.agent or '?'}"


def glossary() -> str:
    """Every word that the page explains to whoever points at it, for whoever cannot."""
    return section("Words", fold("what the words of this page mean", glossary_list()))


def top(session: SessionRecord) -> str:
    """Name, sentence, marks, numbers."""
    choices = session.started.choices
    proven = session.isolation_certified
    state = "ended" if session.ended else "not ended yet, or interrupted"
    level = f"isolation {level_text(session.started.level)}"
    marks = [(f"{group} {choices[group]}", "") for group in ("program", "keep", "budget") if group in choices]
    marks += [(level if proven else f"{level} UNVERIFIED", "good" if proven else "bad"), (state, "")]
    banner = "" if proven else f'<div class="banner">{as_html(UNVERIFIED)}</div>'
    day = session.clock.first_time[:16].replace("T", " ")
    return (
        f'<header><h1>{as_html(name_of(session), 120)}</h1><div class="soft">{as_html(day)} UTC, '
        f"{span_text(session)}</div>"
        f"{_headline(session)}{chips(marks)}{banner}{_tiles(session)}</header>"
    )


def _headline(session: SessionRecord) -> str:
    """What may be said of this session, in a sentence; then what the certificate says, in its own words."""
    whole = as_html(headline(session)).replace(" %", "&nbsp;%").replace(", \u2212", ",&nbsp;\u2212")
    said = [f'<p class="headline">{whole}</p>']
    if session.keeps and not session.certificate:
        words = "Every gain below is a claim of the search, selected on the data it is shown on."
        said.append(f'<p class="subline soft">{words}</p>')
    said += [
        f'<p class="subline soft">{as_html(words[0].upper() + words[1:])}.</p>'
        for words in certificate_lines(session)[:2]
        if session.certificate
    ]
    return "".join(said)


def _tiles(session: SessionRecord) -> str:
    row, by_search, found = session.certificate, claimed_gain(session), noise(session)
    tiles = []
    if row is not None and row.gain is not None:
        about = f"{interval_text(row)}, p = {row.p:.3g}"
        label = "certified gain" if row.passed else "gain, certificate not passed"
        tiles.append(tile(label, signed(row.gain), about, "certified gain"))
        if row.item_low is not None and row.item_high is not None:
            about = f"{row.items:,} of them, paired bootstrap"
            ends = f"{signed(row.item_low)} to {signed(row.item_high)}"
            tiles.append(tile(f"… over other {one_line(row.item_kind, 40)}", ends, about))
    elif session.keeps:
        tiles.append(tile("certified gain", "none", "not measured"))
    if by_search is not None and session.keeps:
        tiles.append(tile("claimed gain", signed(by_search), "the search's own scores, on val"))
    kept = f"{len(session.keeps)} of {len(session.decided)}"
    lost = f"{sum(p.status == 'crash' for p in session.decided)} crashed"
    untold = sum(proposal.untold for proposal in session.decided)
    lost += f", {untold} cannot tell" if untold else ""
    tiles.append(tile("kept proposals", kept, lost, "kept"))
    score, _, behind = mean_text(session, session.incumbent).partition(" ")
    about = f"{behind.strip('()')}; baseline {score_text(session.baseline_score)}"
    tiles.append(tile(f"{session.metric} of the incumbent", score, about.lstrip("; "), "incumbent"))
    for method, reached in list(session.started.references.items())[:2]:
        tiles.append(tile(f"reference: {method}", score_text(reached), "not a result of this session"))
    if found is not None:
        tiles.append(
            tile(
                "noise (sd)",
                f"{found.sd:.2g}",
                f"{found.low:.2g} to {found.high:.2g}, df {found.df}",
                "noise",
            )
        )
    if session.settlements or session.provisional:
        rolled = sum(proposal.rolled_back for proposal in session.decided)
        about = f"{len(session.provisional)} provisional, {rolled} rolled back: keeps"
        tiles.append(tile("certified steps", str(len(session.certified_steps)), about, "certified step"))
    held = duration(session.trial_seconds())
    tiles.append(tile("trials", str(len(session.trials)), f"held the machine for {held}", "trial"))
    if session.dollars or session.tokens:
        tiles.append(tile("agent", f"${session.dollars:.2f}", f"{session.tokens:,} tokens"))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def progress(session: SessionRecord, controls: Sequence[SessionRecord] = (), axis: str = PROPOSALS) -> str:
    """The chart in two sizes, of which a page shows one, with its legend."""
    if not session.decided and not session.baseline_values:
        return ""
    frames = (replace(WIDE, axis=axis), replace(NARROW, axis=axis))
    charts = "".join(progress_chart(session, frame, *controls) for frame in frames)
    return section(
        "Progress", f"<figure>{charts}<figcaption>{chart_legend(session, controls)}</figcaption></figure>"
    )


def chart_legend(session: SessionRecord, controls: Sequence[SessionRecord] = ()) -> str:
    """Every mark of the chart in words, and how to read it."""
    keys = "".join(
        f'<span class="key">{key_svg(kind)}{as_html(words)}</span>' for kind, words in legend(session)
    )
    keys += "".join(
        f'<span class="key"><i class="{f"arm{1 + place % 5}" if place else "control"}"></i>'
        f"control: {as_html(control.started.agent or '?', 80)}</span>"
        for place, control in enumerate(controls)
    )
    note = (
        "Means over seeds. The green line is the incumbent on val, what the search claims; purple is what fresh "
        "trials gave. Whiskers and the band around the baseline: 95 %. Scores far worse than the baseline lie on the "
        "edge, proposals without a score in rows beyond it."
    )
    return f"{keys}<br>{note}"


def gains(session: SessionRecord) -> str:
    """The claim beside the certificate."""
    charts = gain_chart(session, 900, "wide") + gain_chart(session, 380, "narrow")
    if not charts:
        return ""
    note = (
        "The claimed interval knows the noise of trials and nothing of the selection among proposals, so it is "
        "too high on average. Only the certified line is a result."
    )
    return section("Claimed versus certified", f"<figure>{charts}<figcaption>{note}</figcaption></figure>")


def transfers(session: SessionRecord) -> str:
    """Whether the gain holds at other budgets, as far as that was asked."""
    rows = [
        (
            ", ".join(f"{key}={value}" for key, value in row.asked.items()),
            f"{budget_text(row.clock)}, session {budget_text(row.own_clock)}",
            transfer_word(row),
            signed(row.gain) if row.gain is not None else "no score",
            f"{signed(row.low)} to {signed(row.high)}"
            if row.low is not None and row.high is not None
            else "-",
            signed(row.certified_gain) if row.certified_gain is not None else "-",
            f"{len(row.head_scores)} + {len(row.baseline_scores)}",
            row.head_commit[:10],
        )
        for row in session.transfers
    ]
    if not rows:
        return ""
    headings = ("asked", "a trial", "carries over?", "gain", "95 %", "certified at its own", "trials", "head")
    about = (
        "Fresh trials of head and baseline at another budget, on the sealed split. A gain carries over where the whole "
        "interval is above zero; it does not where the interval lies below zero, or holds zero and excludes the share "
        "of the certified gain that was asked for. Anything else was not told by these trials."
    )
    return section("At other budgets", table(headings, rows, (3, 4, 5, 6)), about=about)


def verdicts(session: SessionRecord) -> str:
    """By reason, the most frequent first."""
    found = rejections(session)
    if not found:
        return ""
    return section(
        "Why proposals were discarded",
        bars(("by", "reason", "proposals"), found),
        about="A guard's own reason where a guard rejected; otherwise what the trial or the statistics said.",
    )


def classes(session: SessionRecord, control: SessionRecord | None = None) -> str:
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


def noise_section(session: SessionRecord) -> str:
    """How much scores differ by themselves: statistics, for whoever asks."""
    found = noise(session)
    if found is None:
        return ""
    values = ", ".join(score_text(value) for value in session.baseline_values)
    words = (
        f"Pooled within configurations: sd {found.sd:.3g} {session.unit} (95 % interval {found.low:.3g} to "
        f"{found.high:.3g}, {found.df} degrees of freedom; first trials of candidates were selected, so are left out). "
        f"Baseline on val: {values}."
    )
    return section("Noise", fold("how much scores differ by themselves", f"<p>{as_html(words)}</p>"))
