"""What the config says about scoring (node `scoring`). Standard library only: the session imports it early."""

import os
from dataclasses import dataclass, replace

from harness.scoring.limits import PredictorLimits

_MEMORY_GIB, _GPU_MEMORY_GIB = 4.0, 64.0  # of evaluate.py; a GPU's driver maps much that it never touches


@dataclass(frozen=True, slots=True)
class Scoring:
    """How artefacts are scored and audited.

    cuts: positions at which predictors are audited for reading ahead, one a row and at most half of the rows. If all
    are clean, less than 3 / (cuts / 2) of the positions leak, and less than that share of the gain over token counts
    came from leaks (95 % confidence): 300 give 2 %. replays: rows asked twice, for memory and noise. random_rows: rows
    of random tokens. The cost is about (cuts + replays) / rows of the held-out data: 3 % of 10240 rows.
    batch_tokens: at most so many in a batch, 0 for what suits the machine; batch_mib bounds the bytes of its logits,
    and 4 MiB do where processor time is billed (subjects.py).
    threads: for log-softmax where no GPU does it, 0 for what suits the machine. warm: start predictors for the next
    score while a trial is under way. shared_memory: false sends the bytes as packets. on_device: with a GPU, logits
    stay in its memory (three batches of them); false, or where it cannot be shared, they cross the bus twice.
    memory_gib: of a predictor, 0 for the profile's.
    Caps in seconds: see PredictorLimits; evaluate_seconds bounds the task's own evaluate.py, evaluate_memory_gib (0 for
    what suits the machine) its private memory. item_kib: most JSON that answers an item.
    load_factor, answer_factor: how many times the baseline's own time, in the clock that training is billed in, a
    candidate's predictor may work until its first answer, and for an answer; size_factor: how many times the bytes of
    the baseline's artefact. What is below a floor is never too much: floor_seconds + floor_share of a trial's billed
    seconds, floor_artefact_mib.
    """

    cuts: int = 300
    replays: int = 32
    random_rows: int = 4
    batch_tokens: int = 0
    batch_mib: int = 512
    threads: int = 0
    warm: bool = True
    shared_memory: bool = True
    on_device: bool = True
    memory_gib: float = 0.0
    startup_seconds: float = 300.0
    batch_seconds: float = 20.0
    seconds_per_token: float = 0.002
    seconds_per_item: float = 0.5
    predictor_seconds: float = 1800.0
    evaluate_seconds: float = 600.0
    evaluate_memory_gib: float = 0.0
    item_kib: int = 128
    load_factor: float = 4.0
    answer_factor: float = 4.0
    size_factor: float = 8.0
    floor_seconds: float = 0.1
    floor_share: float = 0.02
    floor_artefact_mib: float = 4.0

    def __post_init__(self) -> None:
        """Raises ValueError for values that cannot be meant."""
        floors = ("floor_seconds", "floor_share", "floor_artefact_mib", "evaluate_memory_gib")
        for name in ("cuts", "replays", "random_rows", "batch_tokens", "threads", "memory_gib", *floors):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, it is {getattr(self, name)}")
        for name in ("batch_mib", "item_kib", "startup_seconds", "predictor_seconds", "evaluate_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0, it is {getattr(self, name)}")
        for name in ("load_factor", "answer_factor", "size_factor"):
            if not getattr(self, name) >= 1:
                raise ValueError(
                    f"{name} must be 1 or more, it is {getattr(self, name)}: the baseline itself would fail"
                )

    def fitted(self, gpu: bool) -> "Scoring":
        """With numbers instead of zeros: a GPU wants large batches, and its host has threads to spare."""
        cores = os.cpu_count() or 1
        threads = min(6, max(1, cores - 2)) if gpu else 1  # more wait for the interpreter's lock
        tokens = 16384 if gpu else 4096
        memory = self.evaluate_memory_gib or (_GPU_MEMORY_GIB if gpu else _MEMORY_GIB)
        batch = self.batch_tokens or tokens
        return replace(self, threads=self.threads or threads, batch_tokens=batch, evaluate_memory_gib=memory)

    def limits(self) -> PredictorLimits:
        return PredictorLimits(
            self.startup_seconds,
            self.batch_seconds,
            self.seconds_per_token,
            self.seconds_per_item,
            self.predictor_seconds,
            self.item_kib << 10,
        )
