"""What an agent remembers of a session: rebuilt from the view for every proposal, bounded, all of it data.

Lines are taken by what they are worth until the bound is reached; what is left out is said.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.agents.centaur import centaur
from harness.agents.data_text import as_data, estimated_tokens, one_line, tail
from harness.agents.failures import failure_class
from harness.agents.trial_words import curve_words, time_words
from harness.records import Decision, Direction, Json, PastProposal, TrialSummary, View

HELPS = ("failures", "lineage", "curve", "time", "centaur")
DEFAULT_HELPS = ("failures", "lineage", "curve", "time")
PENDING = "pending"  # reason of a proposal that is being tried while the next one is prepared
_CLOSEST = 5
_RECENT = 8
_SECTIONS = (
    "Being tried now (no result yet)",
    "Kept",
    "The latest proposals",
    "Came closest without being kept",
    "Rejected",
    "Tried more than once",
)


@dataclass(frozen=True, slots=True)
class _Line:
    section: str
    worth: int  # higher is taken first
    text: str


def memory(
    view: View, most_tokens: int, classes: Sequence[str] = (), helps: Sequence[str] = DEFAULT_HELPS
) -> str:
    """At most `most_tokens` (estimated) of where the session stands. classes: of ideas, to name untried ones.

    helps: what else is told; a sweep can compare. "failures": of what class a failure was, with advice. "lineage":
    which proposals the incumbent is made of. "curve": how the training loss of recent trials went, by their own word.
    "time": where their time went. "centaur": the state of a CMA-ES sampler (centaur.py).
    """
    head = _standing(view) + _of_incumbent(view, helps) + _classes(view, classes)
    sampler = centaur(view).text if "centaur" in helps else ""
    head += sampler if estimated_tokens(sampler) <= most_tokens // 2 else ""
    lines = [line for line in _lines(view, helps) if "lineage" in helps or line.section != _SECTIONS[1]]
    room = most_tokens - estimated_tokens(head) - 20 * len(_SECTIONS)
    taken: list[_Line] = []
    for line in sorted(lines, key=lambda line: -line.worth):
        cost = estimated_tokens(line.text) + 1
        if cost <= room:
            taken.append(line)
            room -= cost
    body = "".join(_section(name, lines, taken) for name in _SECTIONS)
    log = _last_log(view, room)
    return (
        head
        + (as_data("history", body.strip()) + "\n" if body else "No proposal has been decided yet.\n")
        + log
    )


def _standing(view: View) -> str:
    lower = "lower" if view.direction is Direction.MINIMIZE else "higher"
    left = "" if view.proposals_left is None else f", {view.proposals_left} left"
    return (
        f"This is proposal {view.number}{left}. Metric: {one_line(view.metric)}, {lower} is better. "
        f"Baseline: {_number(view.baseline_score)}. Now (incumbent): {_number(view.incumbent_score)}. "
        "Scores are rounded to what the noise allows.\n"
    )


def _classes(view: View, classes: Sequence[str]) -> str:
    tried: Counter[str] = Counter(past.category for past in view.history if past.category)
    kept: Counter[str] = Counter(
        p.category for p in view.history if p.category and p.decision == Decision.KEEP
    )
    lines = [f"{one_line(name, 40)} {count} ({kept[name]} kept)" for name, count in tried.most_common(20)]
    text = f"Classes of ideas so far: {', '.join(lines)}.\n" if lines else ""
    untried = [name for name in classes if name not in tried]
    return text + (f"Classes not tried yet: {', '.join(untried)}.\n" if untried else "")


def checked_helps(helps: Sequence[str]) -> tuple[str, ...]:
    """Raises ValueError for a name that is none of HELPS."""
    if unknown := set(helps) - set(HELPS):
        raise ValueError(f"helps may hold {', '.join(HELPS)}, not {', '.join(sorted(unknown))}")
    return tuple(helps)


def help_state(view: View, helps: Sequence[str]) -> Mapping[str, Json]:
    """What has to stand in a proposal's state so that the next one's helps can be made."""
    return centaur(view).state if "centaur" in helps else {}


def _of_trial(trial: TrialSummary | None, helps: Sequence[str]) -> str:
    if trial is None:
        return ""
    words = [curve_words(trial) if "curve" in helps else "", time_words(trial) if "time" in helps else ""]
    return "; ".join(word for word in words if word)


def _of_incumbent(view: View, helps: Sequence[str]) -> str:
    words = _of_trial(view.incumbent_trial, helps)
    return f"Its latest trial: {words}.\n" if words else ""


def _lines(view: View, helps: Sequence[str]) -> list[_Line]:
    """Every line that could be said; a proposal stands in one section only, the first that fits."""
    history = view.history
    recent = {past.number for past in history[-_RECENT:]}
    closest = [past.number for past in _closest(view, history[:-_RECENT])]
    found = []
    for past in history:
        age = len(history) - past.number
        if past.reason == PENDING:
            found.append(_Line(_SECTIONS[0], 10**9, f"{past.number}. {one_line(past.rationale)}"))
        elif past.decision == Decision.KEEP:
            found.append(_Line(_SECTIONS[1], 10**8 - age, _described(past)))
        elif past.number in recent:
            advice = failure_class(past) if "failures" in helps else ""
            trial = _of_trial(past.trial, helps)
            text = _described(past) + "".join(f" ({words})" for words in (advice, trial) if words)
            found.append(_Line(_SECTIONS[2], 10**7 - age, text))
        elif past.number in closest:
            found.append(_Line(_SECTIONS[3], 10**6 - closest.index(past.number), _described(past)))
        else:
            found.append(_Line(_SECTIONS[4], 10**5 - age, _described(past, 120)))
    repeats = Counter(_idea(past) for past in history if past.reason != PENDING)
    for idea, count in repeats.most_common(_CLOSEST):
        if count > 1:
            found.append(_Line(_SECTIONS[5], 10**6, f"{count} times: {idea}"))
    return found


def _closest(view: View, history: Sequence[PastProposal]) -> list[PastProposal]:
    """Discards with a score, best first."""
    sign = 1 if view.direction is Direction.MINIMIZE else -1
    scored = [past for past in history if past.score is not None and past.decision != Decision.KEEP]
    return sorted(scored, key=lambda past: sign * (past.score or 0.0))[:_CLOSEST]


def _idea(past: PastProposal) -> str:
    return one_line(past.rationale, 120).casefold()


def _described(past: PastProposal, most: int = 200) -> str:
    category = f" [{one_line(past.category, 40)}]" if past.category else ""
    score = "" if past.score is None else f", score {_number(past.score)}"
    score += f", inference cost {past.inference_cost:g} x baseline" if past.inference_cost else ""
    doubt = f"; in doubt: {one_line(past.doubts[0], 120)}" if past.doubts else ""
    line = f"{past.number}.{category} {one_line(past.rationale, most)} -> {one_line(past.reason, 100)}"
    return f"{line}{score}{doubt}"


def _section(name: str, lines: list[_Line], taken: list[_Line]) -> str:
    here = [line for line in lines if line.section == name]
    if name == _SECTIONS[3]:
        here.sort(key=lambda line: -line.worth)  # best first; all others in the order of time
    shown = [line.text for line in here if line in taken]
    if not here:
        return ""
    left_out = (
        f"(and {len(here) - len(shown)} more: show_proposal has them)\n" if len(shown) < len(here) else ""
    )
    return f"{name}:\n" + "".join(f"{text}\n" for text in shown) + left_out


def _last_log(view: View, room: int) -> str:
    """The end of the latest failure's log, if the latest proposal left one and there is room."""
    decided = [past for past in view.history if past.reason != PENDING]
    if not decided or not decided[-1].log or decided[-1].decision == Decision.KEEP or room < 200:
        return ""
    log = tail(decided[-1].log, min(1500, room))
    return f"The end of proposal {decided[-1].number}'s log, as data:\n{as_data('log', log)}\n"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"
