"""An optional reader of changes: a language model that may veto and nothing else.

It sees a difference without comments, docstrings and prose, between markers that the author of the change cannot
guess; its yes opens no door, because every other guard has its own say. No client is imported here: the config
nests whatever answers a question with text.
"""

import secrets
from typing import Protocol

from guards.judge_prompt import difference, question, read_answer
from guards.judge_samples import SAMPLES
from guards.source.syntax import Unreadable
from guards.verdicts import accept, inconclusive, reject
from harness.records import Evidence, Verdict


class Judge(Protocol):
    """Anything that answers a question."""

    def ask(self, question: str) -> str:
        """The answer as text. May raise anything: the candidate is not blamed for that."""


class JudgeGuard:
    """Asks the judge about the change. maximum_bytes: of the difference; a larger one is not sent.

    Name in the config: `judge`.
    """

    name = "judge"
    stages = ("static",)

    def __init__(self, judge: Judge, maximum_bytes: int = 40_000) -> None:
        if maximum_bytes < 1_000:
            raise ValueError(f"maximum_bytes {maximum_bytes} is too small for a change")
        self._judge, self._maximum = judge, maximum_bytes

    def __call__(self, evidence: Evidence) -> Verdict:
        try:
            text = difference(evidence)
        except (Unreadable, RecursionError) as error:
            return reject(self.name, "judge.syntax", str(error))
        if not text:
            return accept(self.name, "nothing to read")
        if len(text.encode("utf-8", "replace")) > self._maximum:
            return inconclusive(self.name, "judge.too_long", "the change is too long to be read by the judge")
        nonce = _unused_nonce(text)
        try:
            answer = self._judge.ask(question(text, nonce))
        except Exception as error:  # noqa: BLE001  # a foreign client: whatever it raises is no word on the candidate
            return inconclusive(self.name, "judge.unavailable", f"{type(error).__name__}: {error}")
        veto = read_answer(answer, nonce)
        if veto is None:
            return inconclusive(self.name, "judge.no_answer", "the judge gave no answer that can be read")
        if veto:
            return reject(self.name, "judge.veto", veto)
        return accept(self.name, "no veto")

    def examined(self) -> dict[str, bool]:
        """Planted changes, bad and honest -> whether the judge got them right. Ask before you trust one."""
        found = {}
        for name, (old, new, bad) in SAMPLES.items():
            evidence = Evidence("static", ("train.py",), {"train.py": old}, {"train.py": new})
            verdict = self(evidence)
            found[name] = (verdict.reason == "judge.veto") if bad else (verdict.reason == "")
        return found


def _unused_nonce(text: str) -> str:
    while (nonce := secrets.token_hex(16)) in text:
        pass
    return nonce
