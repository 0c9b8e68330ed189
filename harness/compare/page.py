"""The comparison of a sweep's arms as one self-contained page."""

from pathlib import Path

from harness.compare.chart import arms_chart, colour, profile_chart
from harness.compare.comparison import ArmSummary, Comparison
from harness.compare.sessions import SessionResult, arms_of, gains
from harness.compare.statistics import Difference, Estimate
from harness.compare.text import sentence
from harness.report.escape import as_html, one_line
from harness.report.html.pieces import page, section, table
from harness.report.words import UNVERIFIED, duration, signed


def html_comparison(found: Comparison) -> str:
    """The whole page."""
    return page(f"Comparison: {found.folder.name}", comparison_body(found))


def comparison_body(found: Comparison) -> str:
    """What the page shows."""
    arms = {arm: gains(rows, found.relative) for arm, rows in arms_of(found.rows).items()}
    arms = {arm: each for arm, each in arms.items() if each}
    legend = "".join(
        f'<span class="key"><i class="{colour(place)}"></i>{as_html(one_line(arm, 60))}</span>'
        for place, arm in enumerate(arms)
    )
    sure = all(row.isolation_certified for row in found.rows)
    banner = "" if sure else f'<div class="banner">{as_html(UNVERIFIED)}</div>'
    charts = arms_chart(arms, 960, "wide") + arms_chart(arms, 400, "narrow")
    profiles = profile_chart(arms, 960, "wide") + profile_chart(arms, 400, "narrow")
    notes = "".join(f"<p>{as_html(note)}</p>" for note in found.notes)
    return (
        f"<header><h1>Comparison of {len(arms)} arms</h1>"
        f'<div class="soft">{as_html(str(found.folder))}, {len(found.rows)} sessions</div>{banner}'
        f"{_answer(found)}</header>"
        + section("Certified gain", _figure(charts, f"Every dot is a session; {as_html(found.unit)}."))
        + section("Which is better?", _pairs(found.differences), about=_RULE)
        + section("Arms", _arms(found), _costs(found), about=_arms_about(found))
        + section("Performance profiles", _figure(profiles, legend) if profiles else "")
        + section("Notes", notes)
        + section("Sessions", _sessions(found.rows))
    )


_RULE = (
    "Decided by a rule that was fixed beforehand: Welch's t test on certified gains, within tasks, corrected for the "
    "number of pairs (Holm), 5 % in all. Paired: sessions of equal task and repeat. P(higher): that a "
    "session of the first arm ends higher than one of the second."
)


def _figure(charts: str, caption: str) -> str:
    return f"<figure>{charts}<figcaption>{caption}</figcaption></figure>"


def _answer(found: Comparison) -> str:
    sure = [pair for pair in found.differences if pair.verdict != "cannot tell"]
    if not sure:
        more = [pair.repeats for pair in found.differences if pair.repeats]
        words = "These sessions cannot tell which arm is better."
        words += f" About {min(more)} sessions an arm could tell the clearest pair apart." if more else ""
    else:
        words = "; ".join(sentence(pair).split(";")[0] for pair in sure[:3]) + "."
    return f'<p class="headline">{as_html(words)}</p>'


def _interval(each: Estimate | Difference | None, gap: str = " ") -> str:
    """gap: between a mean and its interval."""
    if each is None:
        return "-"
    if each.low is None or each.high is None:
        return signed(each.mean)
    return f"{signed(each.mean)}{gap}({signed(each.low)} to {signed(each.high)})"


def _pairs(pairs: list[Difference]) -> str:
    rows = []
    for pair in pairs:
        share, low, high = pair.beats
        repeats = "" if pair.verdict != "cannot tell" else str(pair.repeats or "-")
        rows.append(
            (
                one_line(pair.first, 60),
                pair.verdict,
                one_line(pair.second, 60),
                _interval(pair, "\n"),
                "-" if pair.p_holm is None else f"{pair.p_holm:.2g}",
                _interval(pair.paired, "\n"),
                f"{share:.0%}\n({low:.0%} to {high:.0%})",
                repeats,
            )
        )
    headings = ("arm", "is", "than", "difference", "p (corrected)", "paired", "P(higher)", "sessions needed")
    return table(headings, rows, range(3, 8))


def _arms(found: Comparison) -> str:
    headings = ("arm", "gain", "sessions", "failed", "passed", "keeps", "by chance, at most")
    return table(headings, [_arm(summary) for summary in found.summaries], range(1, 7))


def _arm(arm: ArmSummary) -> tuple[str, ...]:
    counts = (arm.sessions, arm.failed, arm.passed, arm.keeps)
    return (one_line(arm.arm, 80), _interval(arm.gain), *map(str, counts), f"{arm.false_keeps:.1f}")


def _costs(found: Comparison) -> str:
    headings = (
        "arm",
        "trial hours",
        "gain per hour",
        "dollars",
        "gain per dollar",
        "reached target",
        "hours to it",
    )
    return table(headings, [_cost(summary) for summary in found.summaries], range(1, 7))


def _cost(arm: ArmSummary) -> tuple[str, ...]:
    return (
        one_line(arm.arm, 80),
        f"{arm.hours:.2f}",
        "-" if arm.gain_per_hour is None else f"{arm.gain_per_hour:+.3g}",
        f"{arm.dollars:.2f}",
        "-" if arm.gain_per_dollar is None else f"{arm.gain_per_dollar:+.3g}",
        f"{arm.reached} of {arm.sessions}",
        "-" if arm.target_hours is None else f"{arm.target_hours:.2g}",
    )


def _arms_about(found: Comparison) -> str:
    words = "Gains are certified, in the task's unit; a session that kept nothing gained exactly nothing."
    if found.relative:
        words = "Gains are shares of the baseline, because the tasks have different units."
    if found.target is not None:
        words += f" Target: a claimed gain of {signed(found.target)}."
    return words + " Hours are trial hours of the search, without certificates."


def _sessions(rows: list[SessionResult]) -> str:
    headings = (
        "arm",
        "task",
        "repeat",
        "status",
        "certified gain",
        "claimed",
        "keeps",
        "tested",
        "trial time",
        "folder",
    )
    body = [
        (
            one_line(row.arm, 60),
            row.task,
            row.repeat,
            row.status,
            "-" if row.gain is None else signed(row.gain),
            signed(row.claimed),
            row.keeps,
            row.tested,
            duration(row.hours * 3600),
            one_line(Path(row.folder).name, 60),
        )
        for row in rows
    ]
    return table(headings, body, (4, 5, 6, 7))
