"""Scores of honest artefacts, and whose fault a failure is."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scoring_bench import FAST, Bench, ForkSandbox, honest, source, text_rows, trained
from tiny_models import ARCHITECTURES

from harness.records import Split


def plain_bits(model: torch.nn.Module, rows: np.ndarray) -> float:
    """Bits per byte, computed the obvious way in double precision."""
    tokens = torch.from_numpy(rows).long()
    with torch.no_grad():
        losses = F.cross_entropy(model(tokens[:, :-1]).double().flatten(0, 1), tokens[:, 1:].flatten())
    return float(losses) / math.log(2) / 1.5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_bits_per_byte_equal_a_plain_computation(bench: Bench, architecture: str) -> None:
    """An honest artefact of any causal architecture scores what it is worth, to 1e-6, and passes every audit."""
    model = trained(architecture, 10)
    score = bench.score(model, honest(architecture))
    assert (score.status, score.reason, score.detail) == ("scored", "", "")
    assert score.value == pytest.approx(plain_bits(model.eval(), bench.rows), abs=1e-6)
    assert score.side["audit.cuts"] == 150
