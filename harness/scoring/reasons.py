"""What may be said of a candidate that has seen held-out inputs: one of these sentences, and nothing of its own.

A reason and its sentence go to the agent. A number or a word that the candidate chose could carry held-out data there;
the full account goes to the referee's logs.
"""

from collections.abc import Mapping

ARTEFACT_SIZE = "artefact.size"
LOAD_TIME = "predictor.load_time"
ANSWER_TIME = "predictor.answer_time"
FAILED, MEMORY, TIME = "evaluation.failed", "evaluation.memory", "evaluation.time"

SENTENCES: Mapping[str, str] = {
    "artefact.not_finite": "the metric of this artefact is not a finite number",
    "artefact.rejected": "evaluate.py does not accept what the candidate gave",
    ANSWER_TIME: "an answer takes longer than the baseline's times scoring.answer_factor",
    LOAD_TIME: "from its start to its first answer the predictor works longer than the baseline's times "
    "scoring.load_factor: work belongs into the billed time of training",
    FAILED: "evaluate.py fails on what the candidate gave, and works on an artefact that is known to be sound",
    MEMORY: "evaluating what the candidate gave takes more than scoring.evaluate_memory_gib",
    TIME: "evaluating what the candidate gave takes longer than scoring.evaluate_seconds",
    "audit.random_tokens": "random tokens were foreseen",
    "audit.replay": "asked again in other company, the predictor answers differently",
    "audit.suffix": "an answer changes with the text after it",
    "predictor.answer_size": "an answer is larger than scoring.item_kib",
    "predictor.bad_message": "an answer is not what was asked for: logits, or JSON with finite numbers of 64 bits",
    "predictor.crashed": "the predictor failed on held-out input",
    "predictor.dtype": "logits are one of float32, bfloat16, float16, always the same",
    "predictor.not_finite": "a logit is not finite",
    "predictor.not_loaded": "the predictor did not load",
    "predictor.shape": "answers have another shape or number than the questions ask for",
    "predictor.timeout": "no answer in time",
}


class PredictorFault(ValueError):
    """The candidate broke the contract. reason: a stable code of SENTENCES, "predictor.case" or "audit.case".

    detail is for people and agents, and may hold the candidate's own words only as long as it has seen no held-out
    input; `words`, what it said, goes nowhere but into the referee's own logs. struck: whether the end of a
    process may have caused it (deaths.py); None: it went without a word, and how it ended tells.
    """

    def __init__(
        self, reason: str, detail: str = "", words: str = "", *, struck: bool | None = False
    ) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.words = words
        self.struck = struck


def sentence(reason: str) -> str:
    """For a reason of this list, or of the sandbox ("predictor.memory")."""
    return SENTENCES.get(reason, "the predictor broke a limit of its sandbox")
