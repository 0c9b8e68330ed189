"""What the config says about scoring (node `scoring`). Standard library only: the session imports it early."""

import os
from dataclasses import dataclass, replace

from harness.scoring.limits import PredictorLimits


@dataclass(frozen=True, slots=True)
class Scoring:
    """How artefacts are scored and audited.

    cuts: positions at which predictors are audited for reading ahead, one a row and at most half of the rows. If all
    are clean, less than 3 / (cuts / 2) of the positions leak, and less than that share of the gain over token counts
    came from leaks (95 % confidence): 300 give 2 %. replays: rows asked twice, for memory and noise. random_rows: rows
    of random tokens. The cost is about (cuts + replays) / rows of the held-out data: 3 % of 10240 rows.
    batch_tokens: at most so many in a batch, 0 for what suits the machine; batch_mib bounds the bytes of its logits.
    threads: for log-softmax where no GPU does it, 0 for what suits the machine. warm: start predictors for the next
    score while a trial is under way. shared_memory: false sends the bytes as packets. memory_gib: of a predictor, 0
    for the profile's.
    Caps in seconds: see PredictorLimits; evaluate_seconds bounds the task's own evaluate.py.
    """

    cuts: int = 300
    replays: int = 32
    random_rows: int = 4
    batch_tokens: int = 0
    batch_mib: int = 512
    threads: int = 0
    warm: bool = True
    shared_memory: bool = True
    memory_gib: float = 0.0
    startup_seconds: float = 300.0
    batch_seconds: float = 20.0
    seconds_per_token: float = 0.002
    seconds_per_item: float = 0.5
    predictor_seconds: float = 1800.0
    evaluate_seconds: float = 600.0

    def __post_init__(self) -> None:
        """Raises ValueError for values that cannot be meant."""
        for name in ("cuts", "replays", "random_rows", "batch_tokens", "threads", "memory_gib"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, it is {getattr(self, name)}")
        for name in ("batch_mib", "startup_seconds", "predictor_seconds", "evaluate_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0, it is {getattr(self, name)}")

    def fitted(self, gpu: bool) -> "Scoring":
        """With numbers instead of zeros: a GPU wants large batches, and its host has threads to spare."""
        cores = os.cpu_count() or 1
        threads = min(6, max(1, cores - 2)) if gpu else 1  # more wait for the interpreter's lock
        tokens = 16384 if gpu else 4096
        return replace(self, threads=self.threads or threads, batch_tokens=self.batch_tokens or tokens)

    def limits(self) -> PredictorLimits:
        return PredictorLimits(
            self.startup_seconds,
            self.batch_seconds,
            self.seconds_per_token,
            self.seconds_per_item,
            self.predictor_seconds,
        )
