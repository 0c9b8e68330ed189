"""What was already measured is answered from the record, under whatever spelling it comes back."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from guards.source.normal_form import Form, normal_form
from guards.source.simplify import defined, simplified
from guards.source.syntax import Unreadable, parsed
from guards.verdicts import accept, doubt, reject
from harness.records import Evidence, Files, Json, Verdict

Forms = dict[str, Form | str]
"""Path -> normal form of a Python file, digest of any other."""


class Duplicates:
    """Rejects a proposal that does what the incumbent or a measured proposal of the session does.

    A rewrite that probably changes nothing (`if True`, `1.0 *`, a dead function) is in doubt: with fixed work, one
    trial at a seed of the incumbent's shows whether it leaves the same bits.
    tolerance: two numbers are the same when they differ by less than this share of themselves and of their
    distance to one (0.999 and 0.9995 are not the same).
    """

    name = "duplicates"
    stages = ("static", "runtime")

    def __init__(self, tolerance: float = 0.005) -> None:
        if not 0 <= tolerance < 1:
            raise ValueError(f"tolerance {tolerance} is not between 0 and 1")
        self._tolerance = tolerance

    def __call__(self, evidence: Evidence) -> Verdict:
        return self._by_bits(evidence) if evidence.stage == "runtime" else self._by_form(evidence)

    def _by_form(self, evidence: Evidence) -> Verdict:
        candidate = _editable(evidence.candidate, evidence.editable)
        incumbent = _editable(evidence.incumbent, evidence.editable)
        try:
            forms = _forms(candidate)
        except (Unreadable, RecursionError) as error:
            return reject(self.name, "duplicates.syntax", str(error))
        if _same(forms, _forms_or_none(incumbent), self._tolerance):
            message = "only names, layout, comments or the last digits of numbers differ from the incumbent"
            return reject(self.name, "duplicates.unchanged", message)
        for past in evidence.history:
            if not past.measured:
                continue  # never tried: this is its first time
            if _same(forms, _forms_or_none(_editable(past.files, evidence.editable)), self._tolerance):
                message = f"does the same as proposal {past.number} ({past.decision.value}: {past.reason})"
                return reject(self.name, "duplicates.repeated", message, {"duplicate_of": past.number})
        near = _nearest(forms, evidence, evidence.editable)
        shown: dict[str, Json] = {"same_but_for_numbers": near} if near is not None else {}
        if _keeps_numbers(forms, _forms_or_none(incumbent)) and self._changes_nothing(candidate, incumbent):
            doubts = ["without what does nothing, the program is the incumbent"]
            verdict = doubt(self.name, "duplicates.null_rewrite", doubts, shown)
            return replace(verdict, incumbent_seed_wanted=True)
        return accept(self.name, evidence=shown)

    def _changes_nothing(self, candidate: Files, incumbent: Files) -> bool:
        """Whether both are equal without what does nothing."""
        try:
            old = [parsed(path, content) for path, content in incumbent.items() if path.endswith(".py")]
            new = [parsed(path, content) for path, content in candidate.items() if path.endswith(".py")]
            kept = defined(old)
            before = _others(incumbent) | {one.path: normal_form(simplified(one, kept)) for one in old}
            after = _others(candidate) | {one.path: normal_form(simplified(one, kept)) for one in new}
        except (Unreadable, RecursionError):
            return False
        return _same(after, before, self._tolerance)

    def _by_bits(self, evidence: Evidence) -> Verdict:
        """Whether the same seed left the incumbent's bits, which fixed work gives to equal programs alone."""
        known = {(one.seed, one.artefact_sha256): one.trial_id for one in evidence.incumbent_trials}
        for trial in evidence.candidate_trials if evidence.fixed_work else ():
            twin = known.get((trial.seed, trial.artefact_sha256)) if trial.artefact_sha256 else None
            if twin is not None:
                message = f"{trial.trial_id} left the same bits as {twin} of the incumbent at the same seed"
                return reject(self.name, "duplicates.same_bits", message)
        return accept(self.name)


def _editable(files: Files, paths: Sequence[str]) -> dict[str, bytes]:
    return {path: files[path] for path in paths if path in files}


def _forms(files: Files) -> Forms:
    """Raises Unreadable or RecursionError."""
    return {path: _form(path, content) for path, content in files.items()}


@lru_cache(maxsize=8192)  # every earlier proposal is compared with every new one, and parsed once
def _form(path: str, content: bytes) -> Form | str:
    """Raises Unreadable or RecursionError."""
    return normal_form(parsed(path, content)) if path.endswith(".py") else hashlib.sha256(content).hexdigest()


def _keeps_numbers(forms: Forms, others: Forms | None) -> bool:
    """Whether all numbers of the incumbent are still there, apart from 0 and 1: what changes nothing drops none."""
    return others is not None and not _numbers(others) - _numbers(forms)


def _numbers(forms: Forms) -> Counter[str]:
    return Counter(
        repr(number)
        for form in forms.values()
        if isinstance(form, Form)
        for number in form.numbers
        if number not in (0, 1)
    )


def _others(files: Files) -> Forms:
    """Digests of the files that are no Python."""
    return {
        path: hashlib.sha256(content).hexdigest()
        for path, content in files.items()
        if not path.endswith(".py")
    }


def _forms_or_none(files: Files) -> Forms | None:
    """An earlier proposal that cannot be read is like no other."""
    try:
        return _forms(files)
    except (Unreadable, RecursionError):
        return None


def _same(forms: Forms, others: Forms | None, tolerance: float) -> bool:
    if others is None or forms.keys() != others.keys():
        return False
    return all(_same_form(form, others[path], tolerance) for path, form in forms.items())


def _same_form(form: Form | str, other: Form | str, tolerance: float) -> bool:
    if isinstance(form, str) or isinstance(other, str):
        return form == other
    if form.text != other.text:
        return False
    return all(_close(one, two, tolerance) for one, two in zip(form.numbers, other.numbers, strict=True))


def _close(one: complex, two: complex, tolerance: float) -> bool:
    if one == two:
        return type(one) is type(two)
    if isinstance(one, int) and isinstance(two, int) and max(abs(one), abs(two)) < 1000:
        return False  # 7 layers are not 8
    try:
        scale = min(abs(one), abs(1 - one), abs(two), abs(1 - two))
        return abs(one - two) < tolerance * scale
    except OverflowError:
        return False


def _nearest(forms: Forms, evidence: Evidence, paths: Sequence[str]) -> int | None:
    """The latest earlier proposal that differs in numbers only."""
    for past in reversed(evidence.history):
        others = _forms_or_none(_editable(past.files, paths))
        if others is None or others.keys() != forms.keys():
            continue
        if all(_masked(form) == _masked(others[path]) for path, form in forms.items()):
            return past.number
    return None


def _masked(form: Form | str) -> str:
    return form if isinstance(form, str) else form.text
