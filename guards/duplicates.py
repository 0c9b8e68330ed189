"""What was already measured is answered from the record, under whatever spelling it comes back."""

import hashlib
from collections.abc import Sequence

from guards.source.normal_form import Form, normal_form
from guards.source.syntax import Unreadable, parsed
from guards.verdicts import accept, reject
from harness.records import Evidence, Files, Verdict

Forms = dict[str, Form | str]
"""Path -> normal form of a Python file, digest of any other."""


class Duplicates:
    """Rejects a proposal that does what the incumbent or an earlier proposal of the session does.

    tolerance: two numbers are the same when they differ by less than this share of themselves and of their
    distance to one (0.999 and 0.9995 are not the same).
    """

    name = "duplicates"
    stages = ("static",)

    def __init__(self, tolerance: float = 0.005) -> None:
        if not 0 <= tolerance < 1:
            raise ValueError(f"tolerance {tolerance} is not between 0 and 1")
        self._tolerance = tolerance

    def __call__(self, evidence: Evidence) -> Verdict:
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
            if _same(forms, _forms_or_none(_editable(past.files, evidence.editable)), self._tolerance):
                message = f"does the same as proposal {past.number} ({past.decision.value}: {past.reason})"
                return reject(self.name, "duplicates.repeated", message, {"duplicate_of": past.number})
        near = _nearest(forms, evidence, evidence.editable)
        return accept(self.name, evidence={"same_but_for_numbers": near} if near is not None else {})


def _editable(files: Files, paths: Sequence[str]) -> dict[str, bytes]:
    return {path: files[path] for path in paths if path in files}


def _forms(files: Files) -> Forms:
    """Raises Unreadable or RecursionError."""
    return {
        path: normal_form(parsed(path, content))
        if path.endswith(".py")
        else hashlib.sha256(content).hexdigest()
        for path, content in files.items()
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
