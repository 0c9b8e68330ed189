"""Research or tuning? Every proposal is put into one class, for readers and for the report."""

from collections import Counter

from guards.classification_rules import scores
from guards.seed_change import facts, python_files
from guards.source.change import changed_statements
from guards.source.normal_form import Form, normal_form
from guards.source.syntax import Source, Unreadable, parsed
from guards.source.values import TooComplex
from guards.verdicts import accept
from harness.records import Evidence, Files, Verdict

CLASSES = (
    "seed", "hyperparameter", "optimiser", "architecture", "data", "training loop", "systems", "cosmetic",
)  # fmt: skip


class Classification:
    """Always accepts; evidence "category" is one of CLASSES, "shares" what the changed statements hint at.

    cosmetic: the normal form is the same. hyperparameter: it differs in numbers only. seed: what differs is
    seeding and nothing else. Otherwise the class that most of the changed statements point to.
    """

    name = "classification"
    stages = ("static",)

    def __call__(self, evidence: Evidence) -> Verdict:
        try:
            category, shares = _classified(evidence)
        except (Unreadable, RecursionError):
            return accept(self.name, "cannot be read", {"category": "training loop", "shares": {}})
        return accept(self.name, category, {"category": category, "shares": {**shares}})


def _classified(evidence: Evidence) -> tuple[str, dict[str, int]]:
    before = _sources(evidence.incumbent, evidence.editable)
    after = _sources(evidence.candidate, evidence.editable)
    forms, old_forms = _forms(after), _forms(before)
    if forms == old_forms and _others_equal(evidence):
        return "cosmetic", {}
    shares = Counter[str]()
    for path in {**before, **after}:
        if changes := changed_statements(before.get(path), after.get(path)):
            shares.update(scores(changes))
    if _only_seeding(evidence, shares):
        return "seed", dict(shares)
    masked = {path: form.text for path, form in forms.items()}
    if masked == {path: form.text for path, form in old_forms.items()} and _others_equal(evidence):
        return "hyperparameter", dict(shares)
    shares.pop("seed", None)
    ranked = sorted(shares.items(), key=lambda item: (-item[1], CLASSES.index(item[0])))
    return (ranked[0][0] if ranked else "training loop"), dict(shares)


def _sources(files: Files, paths: tuple[str, ...]) -> dict[str, Source]:
    return {path: parsed(path, files[path]) for path in paths if path.endswith(".py") and path in files}


def _forms(sources: dict[str, Source]) -> dict[str, Form]:
    return {path: normal_form(source) for path, source in sources.items()}


def _others_equal(evidence: Evidence) -> bool:
    others = [path for path in evidence.editable if not path.endswith(".py")]
    return all(evidence.incumbent.get(path) == evidence.candidate.get(path) for path in others)


def _only_seeding(evidence: Evidence, shares: Counter[str]) -> bool:
    """Whether seeding differs and every changed statement has to do with seeds."""
    if not shares or set(shares) - {"seed"}:
        return False
    try:
        before, after = (facts(python_files(files, evidence.editable)) for files in _both(evidence))
    except (TooComplex, RecursionError):
        return True
    return before.sinks != after.sinks


def _both(evidence: Evidence) -> tuple[Files, Files]:
    return evidence.incumbent, evidence.candidate
