"""What a trial tells of itself while it runs is there to be looked at, and gone when it is over."""

import json
import math
from pathlib import Path

import pytest
from sandbox_levels import TrialBench

from harness.ledger.live_trial import FOLDER, LiveTrial, Point, live_curve, live_mark
from harness.trial.told import told_loss

TELLS = """
open_gate(options.data)
for step in range(60):
    print(f"step {step:05d} | loss: {6 - step / 10:.2f} | epoch: 1", flush=True)
    time.sleep(0.05)
finish(1)
"""


def test_the_curve_so_far_is_beside_the_ledger_while_it_runs(bench: TrialBench) -> None:
    """From what the program prints, after the gate; nothing is left of it, and nothing of it is in the result."""
    seen: list[Point] = []

    def looks() -> bool:
        seen.extend(live_curve(bench.folder, f"trial-{bench.count}"))
        return True

    result = bench.trial(TELLS, gated=True, seconds=30, settled=looks)
    assert result.outcome == "completed"
    assert seen
    assert {loss for _, loss in seen} <= {round(6 - step / 10, 2) for step in range(60)}
    assert all(0 < share <= 1 for share, _ in seen)
    assert not (bench.folder / FOLDER).exists()
    assert "curve" not in result.claims


@pytest.mark.parametrize(
    ("claims", "log", "expected"),
    [
        ({}, "step 00020 (6.6%) | loss: 3.3010 | epoch: 1", 3.301),
        ({}, "train_loss=2.5e-1 val", 0.25),
        ({}, "loss 4\nepoch 3: loss 1.1697\n", 1.1697),
        ({}, '{"Loss": -2}', -2.0),
        ({"loss": 0.5}, "loss: 3", 0.5),
        ({"loss": True}, "nothing of that kind; lossless", None),
        ({}, "", None),
    ],
)
def test_losses_are_read_as_programs_print_them(
    claims: dict[str, float], log: str, expected: float | None
) -> None:
    """The last one; a claim of its own comes first."""
    assert told_loss(claims, log) == expected


def test_a_long_trial_keeps_its_shape(tmp_path: Path) -> None:
    """Thousands of points become hundreds, the first and the last among them; what is not finite is none."""
    live = LiveTrial(tmp_path, "p0001-1@1")
    for step in range(3000):
        live.add(step / 3000, math.nan if step % 7 == 2 else 9 - step / 1000)
    points = live_curve(tmp_path, "p0001-1@1")
    assert 100 < len(points) <= 400
    assert points[0] == (0.0, 9.0)
    assert points[-1][1] == pytest.approx(9 - 2.999)
    assert list(points) == sorted(points)
    live.close()
    assert live_curve(tmp_path, "p0001-1@1") == ()
    assert not (tmp_path / FOLDER).exists()


@pytest.mark.parametrize(
    "content",
    ["", "[", "[]", '{"curve": 3}', '{"time": 1e999, "curve": [[0, 1]]}', '{"curve": [[0]], "time": 0}'],
)
def test_a_damaged_file_says_nothing(tmp_path: Path, content: str) -> None:
    """Nor does one that was left by a harness that is no more, or one with numbers that are none."""
    LiveTrial(tmp_path, "one").add(0.1, 1.0)
    (file,) = (tmp_path / FOLDER).iterdir()
    said = json.loads(file.read_text())
    mark = live_mark(tmp_path)
    for text in (content, json.dumps({**said, "time": 0}), json.dumps({**said, "curve": [[0.1, math.nan]]})):
        file.write_text(text)
        assert live_curve(tmp_path, "one") == ()
    LiveTrial(tmp_path, "one").add(0.1, 1.0)
    assert live_mark(tmp_path) != mark
    assert live_curve(tmp_path, "one") == [(0.1, 1.0)]
