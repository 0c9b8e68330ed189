"""What Slurm's commands say, and what is concluded from it. The real Slurm is in tests/cluster."""

from pathlib import Path

import pytest

from harness.errors import InfrastructureError
from harness.slots.in_slurm import Queue


def scontrol(says: str, code: int, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = place / "scontrol"
    program.write_text(f"#!/bin/sh\necho '{says}' >&2\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")


@pytest.mark.parametrize(
    "said",
    [
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        "slurm_load_jobs error: Socket timed out on send/recv operation",
        "slurm_load_jobs error: Zero Bytes were transmitted or received",
    ],
)
def test_a_silent_daemon_has_forgotten_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """It may have been killed between two questions: the job is asked for again, not given up."""
    scontrol(said, 1, tmp_path, monkeypatch)
    with pytest.raises(InfrastructureError):
        Queue.__new__(Queue)._ended("7")


def test_a_job_that_slurm_does_not_know_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scontrol("slurm_load_jobs error: Invalid job id specified", 1, tmp_path, monkeypatch)
    state = Queue.__new__(Queue)._ended("7")
    assert (state.over, state.reason) == (True, "forgotten_by_slurm")
