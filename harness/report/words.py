"""Numbers and rows in words, the same in every view."""

from collections.abc import Iterable

from harness.ledger.record_parts import ProposalRecord, number, plain_mapping
from harness.ledger.rows import CertificateRow, TransferRow, TrialFinishedRow
from harness.ledger.session_record import SessionRecord
from harness.records import AblatedChange, Clock, Level, Role
from harness.report.analysis import claimed_gain
from harness.report.escape import one_line

CANNOT_TELL = "cannot tell"  # of a proposal that was discarded without an answer
USUAL_SIDE = 5  # trials of either side of a certificate, where nothing else is asked for
_BARS = "▁▂▃▄▅▆▇█"


def score_text(value: float | None) -> str:
    """Four significant digits and more for large numbers; "-" for none."""
    if value is None:
        return "-"
    return f"{value:.4f}" if 0.01 <= abs(value) < 10_000 or value == 0 else f"{value:.4g}"


def signed(value: float) -> str:
    value += 0.0  # no sign on nothing: -0.0 is 0.0
    return f"{value:+.4f}" if abs(value) >= 0.00095 or value == 0 else f"{value:+.2e}"


def shift_text(share: float) -> str:
    """A small relative difference: "+0.12%"; one that two decimals would turn into nothing is said to be that small."""
    if share == 0:
        return "nothing"
    return f"{share:+.2%}" if abs(share) >= 0.00005 else "less than 0.01%"


def counted(count: int, what: str) -> str:
    """ "1 trial", "3 trials": with its plural, if that ends in s."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def duration(seconds: float) -> str:
    """42 s, 3 min 05 s, 2 h 07 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def trial_time(measured: TrialFinishedRow, clock: Clock) -> str:
    """What a trial was billed, and what it took in all where that is much more: "11 s of CPU time, 34 s in all"."""
    billed = duration(measured.billed_seconds) + (" of CPU time" if clock.kind == "cpu" else "")
    waited = measured.wall_seconds > 1.5 * measured.billed_seconds + 1
    return f"{billed}, {duration(measured.wall_seconds)} in all" if waited else billed


def limit_text(clock: Clock) -> str:
    """What a trial may take: "20 s of CPU time, after 1 min 00 s to start up"."""
    kind = " of CPU time" if clock.kind == "cpu" else ""
    return f"{duration(clock.seconds)}{kind}, after {duration(clock.startup_seconds)} to start up"


def mean_text(session: SessionRecord, commit: str) -> str:
    """The mean of a program's scores, and of how many trials: races add some to those that a proposal was kept on."""
    roles = [seen.role for seen in session.counted(commit) if seen.score is not None]
    if not roles:
        return score_text(None)
    races = ", races included" if {Role.STEP_HEAD, Role.STEP_CERTIFIED} & {*roles} else ""
    return f"{score_text(session.mean_score(commit))} (mean of {counted(len(roles), 'trial')}{races})"


def time_lines(session: SessionRecord) -> list[str]:
    """Where the session's wall-clock time went, in one line; none before a trial has ended."""
    parts = [f"{part.name} {part.share:.0%}" for part in session.time_shares if part.share >= 0.005]
    up = duration(session.active_seconds)
    return [f"where the session's {up} went: {', '.join(parts)}"] if parts else []


def sparkline(values: Iterable[float], width: int = 40) -> str:
    """The last `width` values as one line of bars; the best to see is in the shape, not in the height."""
    shown = list(values)[-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in shown)


def why(proposal: ProposalRecord) -> str:
    """The reason of a decision in one line, with the guard that gave it."""
    rejected = proposal.rejection
    parts = [proposal.reason or (rejected.reason if rejected else "")]
    message = proposal.ruling.message or (rejected.message if rejected else "")
    doubt = f"(in doubt: {proposal.doubts[0]})" if proposal.doubts else ""
    said = ": ".join(part for part in [*parts, message] if part)
    return one_line(" ".join(part for part in (said, doubt) if part), 220)


def verdict(proposal: ProposalRecord) -> str:
    """What became of a proposal, in the words of every view: keep, discard or crash, a keep's standing, and whether
    nobody can tell if it helps.
    """
    standing = CANNOT_TELL if proposal.untold else proposal.level
    return f"{proposal.status}, {standing}" if standing and standing != proposal.status else proposal.status


def gain_text(session: SessionRecord) -> str:
    """Certified where there is a certificate, else as the search claims it; "-" without a keep."""
    certificate = session.certificate
    if certificate is not None and certificate.gain is not None:
        return f"{signed(certificate.gain)} {'certified' if certificate.passed else 'NOT certified'}"
    claimed = claimed_gain(session)
    return "-" if claimed is None or not session.keeps else f"{signed(claimed)} claimed"


def step_lines(session: SessionRecord) -> list[str]:
    """What rules with two levels did: steps certified and stacks rolled back, with the error that was spent."""
    if not session.settlements:
        return []
    steps = session.certified_steps
    failed = len(session.settlements) - len(steps)
    spent = sum(row.statistics.get("alpha", 0.0) for row in session.settlements)
    return [
        f"{counted(len(steps), 'certified step')}, {counted(failed, 'stack')} rolled back; "
        f"error budget spent on their races: {spent:.3g}{_of_budget(session)}"
    ]


def _of_budget(session: SessionRecord) -> str:
    keep = plain_mapping(session.started.config.get("keep"))
    budget = number(keep.get("session_error"))
    if not budget:
        return ""
    earned = len(session.certified_steps) * budget
    return f" of {budget:g} stated beforehand" + (
        f" and {earned:g} earned by certified steps" if earned else ""
    )


_ABLATED = {
    "carries": "carries it",
    "harms": "harms",
    "not_shown": "not shown",
    "fails_without": "needed: without it a trial ends without a score",
    "no_score": "no score with it alone on what came before",
    "unlike_conditions": "cannot be told: the machine was not the same under both sides",
}
_HOW = {
    "whole": "",
    "taken_back": ", taken back",
    "added": ", added where it came in, as later changes build on it",
}


def ablation_line(change: AblatedChange, title: str = "", unit: str = "") -> str:
    """One change of an ablation: what it is worth and how that was measured."""
    name = f"proposal {change.proposal}" if change.proposal else "the whole"
    about = f" ({one_line(title, 80)})" if title else ""
    word = _ABLATED[change.status]
    if change.effect is None:
        return f"{name}{about}: {word}"
    suffix = f" {one_line(unit, 40)}" if unit else ""
    interval = f"{signed(change.low or 0.0)} to {signed(change.high or 0.0)}"
    counts = f"{change.trials[0]} and {change.trials[1]} trials"
    return f"{name}{about}: {word}, {signed(change.effect)}{suffix} ({interval}; {counts}{_HOW[change.how]})"


def certificate_lines(session: SessionRecord) -> list[str]:
    """What the session may claim, in plain words."""
    row = session.certificate
    if row is None:
        if session.ended is None:
            return []
        nothing = "nothing was kept: there is no gain to certify"
        return [
            nothing if not session.keeps else "certificate: none was made; the kept scores are claims only"
        ]
    unit = one_line(session.unit, 40)
    if row.gain is None:
        return ["certificate NOT passed: a fresh trial had no score, so there is no gain to report"]
    passed = "passed" if row.passed else "NOT passed"
    lines = [
        f"certificate {passed}: gain {signed(row.gain)} {unit}"
        f" ({row.confidence:.0%} interval over seeds {interval_text(row)}, p = {row.p:.3g})"
        f" on the sealed split"
    ]
    lines += item_lines(row, unit)
    if 0 < len(row.head_scores) < USUAL_SIDE:
        few = counted(len(row.head_scores), "trial")
        lines.append(f"the interval over seeds is wide: {few} a side; budget.certificate={USUAL_SIDE} narrows it")
    if not row.conditions_alike:
        lines.append(UNLIKE_CONDITIONS)
    lines += step_lines(session)
    if row.claimed is not None:
        lines.append(f"claimed by the search on val: {signed(row.claimed)} {unit}{_above_claim(row)}")
    if not (session.isolation_certified if row.certified is None else row.certified):
        lines.append(UNVERIFIED)
    return lines


def _above_claim(row: CertificateRow) -> str:
    """Claims are too high on average; one that was exceeded is a matter of other rows and other seeds."""
    if row.gain is None or row.claimed is None or row.gain <= row.claimed:
        return ""
    return " (less than certified: the sealed split has other rows than val, and both have errors)"


_TRANSFER = {
    "carries_over": "the gain carries over",
    "does_not": "the gain does NOT carry over",
    "cannot_tell": "cannot tell whether the gain carries over",
}


def transfer_lines(row: TransferRow, unit: str = "") -> list[str]:
    """Whether a gain holds at another budget, for people."""
    unit = one_line(unit, 40)
    asked = one_line(", ".join(f"{key}={value}" for key, value in row.asked.items()), 120)
    word = _TRANSFER[row.word] + (" in part" if row.word == "carries_over" and falls_short(row) else "")
    start = f"at {asked} ({budget_text(row.clock)}; the session: {budget_text(row.own_clock)}) {word}"
    if row.gain is None:
        return [f"{start}: a trial of the head or of the baseline ended without a score"]
    interval = f"{signed(row.low or 0.0)} to {signed(row.high or 0.0)}"
    counts = f"{len(row.head_scores)} and {len(row.baseline_scores)} trials"
    lines = [f"{start}: {signed(row.gain)} {unit} ({row.confidence:.0%} interval {interval}; {counts})"]
    if row.certified_gain is not None:
        share = f"{row.share:.0%} of the certified {signed(row.certified_gain)}"
        lines.append(
            f"less than {share}, both errors counted"
            if falls_short(row)
            else f"not shown to be less than {share}"
        )
    if not row.conditions_alike:
        lines.append("head and baseline did not have the same machine under them: nothing follows")
    return lines


def transfer_word(row: TransferRow) -> str:
    """The answer in two or three words."""
    part = " in part" if row.word == "carries_over" and falls_short(row) else ""
    return row.word.replace("_", " ") + part


def falls_short(row: TransferRow) -> bool:
    """Whether less than the share of the certified gain that was asked for is left."""
    return row.lacking is not None and row.lacking < 0


def budget_text(clock: Clock) -> str:
    """What bounds a trial."""
    if clock.steps is not None:
        return f"{clock.steps:,} steps"
    if clock.tokens is not None:
        return f"{clock.tokens:,} tokens"
    return f"{clock.seconds:g} {'CPU ' if clock.kind == 'cpu' else ''}s"


def item_lines(row: CertificateRow, unit: str = "") -> list[str]:
    """The gain's other interval, where the task tells what its score is made of."""
    if row.item_low is None or row.item_high is None:
        return ["the interval covers seeds, not other documents or items: none of them are told or compared"]
    kind = one_line(row.item_kind, 40)
    shown = "" if row.item_low > 0 else f"; on other {kind} a gain is not shown"
    return [
        f"95% interval over {row.items:,} {kind} (paired bootstrap, seeds as they are): "
        f"{signed(row.item_low)} to {signed(row.item_high)} {unit}{shown}"
    ]


def interval_text(row: CertificateRow) -> str:
    """The certified gain's interval."""
    return f"{signed(row.low or 0.0)} to {signed(row.high or 0.0)}"


UNLIKE_CONDITIONS = "not passed, whatever p: head and baseline did not have the same machine under them"
UNVERIFIED = (
    "UNVERIFIED: isolation was not proven on this machine; a candidate could have forged these numbers"
)


def cost_text(session: SessionRecord) -> str:
    """Trial time, dollars and tokens so far."""
    parts = [f"{counted(len(session.trials), 'trial')}, together {duration(session.trial_seconds())}"]
    if session.tokens:
        parts.append(f"{session.tokens:,} tokens")
    if session.dollars:
        parts.append(f"${session.dollars:.2f}")
    return " · ".join(parts)


def level_text(level: Level) -> str:
    """L0 to L3."""
    return level.name


def title(session: SessionRecord) -> str:
    """Task, agent, rule and isolation in one line."""
    row = session.started
    level = f"isolation {level_text(row.level)}" + ("" if session.isolation_certified else " UNVERIFIED")
    choices = row.choices
    named = [f"{group} {choices[group]}" for group in ("program", "keep", "budget") if choices.get(group)]
    parts = [f"task {row.task or '?'}", f"agent {row.agent or '?'}", *named, level]
    return one_line(" · ".join(parts), 160)
