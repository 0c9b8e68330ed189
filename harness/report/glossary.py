"""The words of reports, each explained in a sentence or two: shown where the word is pointed at, and in a list."""

from collections.abc import Mapping

from harness.report.escape import as_html

GLOSSARY: Mapping[str, str] = {
    "idea": "A proposal of the agent: a change of the editable files with the reason for it.",
    "proposal": "A change of the editable files that the agent hands in, with the reason for it.",
    "baseline": "The task's program as it was given, measured by the same rules. It is never replaced.",
    "incumbent": "The best state so far: the baseline with all changes that stand.",
    "kept": "A change that the keep rule took into the incumbent. It was selected on val, so its gain is a claim.",
    "discarded": "A change that was not kept: by a guard, by a failed trial, or for not being better than noise.",
    "provisional": "Kept for now: a certified step has yet to show that it holds on fresh trials.",
    "rolled back": "Kept provisionally and given up again: on fresh trials it did not hold.",
    "certified step": "A stack of keeps that held in a race of fresh trials against the last certified state.",
    "certificate": "Fresh trials of head and baseline on the sealed split at the end: the only result.",
    "carries over": "The certified gain is still there at another budget or size, by fresh trials of both sides there.",
    "certified gain": "How much better the head is than the baseline on the sealed split, by fresh trials of both.",
    "claimed gain": "What the search's own scores on val say. They were selected, so it is too high on average.",
    "interval": "A range that holds the true value in 95 of 100 such measurements.",
    "p": "How often a difference as large as this would come from noise alone, if the change did nothing.",
    "sd": "Standard deviation: the usual distance of one score from the mean of many, here from seed to seed.",
    "z": "How large an effect is against its own error; 2 and more is rare by chance. Behind 'against' stands the "
    "bound that it had to reach to be kept.",
    "effect": "By how much the change's trials were better than the incumbent's trials that the keep rule looked at, "
    "whichever way the metric goes; in reasons 'better by' and 'worse by'.",
    "nats": "Unit of a log loss: natural logarithm of the probability that the model gave to what was right; less is "
    "better, 0.69 is a toss of a coin.",
    "bits per byte": "Log loss in bits for each byte of text (bpb): less is better; the length of a token does not "
    "matter.",
    "error budget": "How many false certified steps a session may expect, said beforehand; each race spends a part of "
    "it, and a certified step earns some back.",
    "race": "Fresh trials of the head and of the last certified state in turns, which decide about a stack of keeps.",
    "stack": "Provisional keeps on top of the last certified state: certified together or rolled back together.",
    "head": "The incumbent's code at a session's end, or at the moment: what diff and checkout hand out.",
    "disturbed": "Of a trial: its machine was not the one it was calibrated on (faster or slower, other programs "
    "beside it). It does not count, and another is made.",
    "calibrated": "Measured beside the baseline's trials at the session's start: how fast the machine is then.",
    "cannot tell": "Discarded without an answer whether the change helps: too many of its trials were disturbed, or "
    "what it was built on was rolled back. Not the same as a change that does not help.",
    "billed": "Time that counts against a trial's budget: from the training data to the end.",
    "gate": "The moment at which a trial gets its training data; from there its time is billed.",
    "budget": "What a trial may take, in seconds, steps or tokens; also the limits of a session.",
    "noise": "How far scores of one and the same program differ between seeds: their standard deviation (sd).",
    "df": "Degrees of freedom: on how many independent differences the estimate of noise rests.",
    "trial": "One run of one candidate's program with one seed, under the referee's clock, in a sandbox.",
    "seed": "The number that fixes a trial's dice. The referee draws it after the change is committed.",
    "score": "What the evaluator measured of what a trial left behind. Nothing that the program says of itself counts.",
    "claim": "What the agent's program says of itself (its own losses, steps): shown, never believed.",
    "guard": "A check that rejects what would cheat or compare unfairly: changed seeds, leaked data, stolen time.",
    "verdict": "What a guard says of a proposal or a trial: accept, reject or inconclusive.",
    "val": "The split that the search sees: proposals are selected by its scores.",
    "sealed split": "Held-out data that the search never saw; used once, for the certificate.",
    "control": "A session on the same task without research: random changes, or a search over numbers.",
    "isolation": "How well untrusted programs are shut in, L0 to L3, measured by the harness's own attacks.",
    "unproven isolation": "The harness's own attacks were not all stopped here: a candidate could have forged numbers.",
    "crash": "The candidate's program failed or ran out of time: its worst score, not retried.",
}


def explained(term: str, shown: str = "") -> str:
    """The word with its explanation for whoever points at it; as it is when the glossary lacks it. HTML."""
    about = GLOSSARY.get(term)
    words = as_html(shown or term, 200)
    return f'<abbr title="{as_html(about)}">{words}</abbr>' if about else words


def glossary_list() -> str:
    """All of it as a definition list. HTML."""
    entries = sorted(GLOSSARY.items(), key=lambda entry: entry[0].lower())
    return (
        "<dl>"
        + "".join(f"<dt>{as_html(term)}</dt><dd>{as_html(about)}</dd>" for term, about in entries)
        + "</dl>"
    )
