"""An artefact beyond the limit, sparse on the disk."""

from harness.redteam.program import Baseline, Candidate

REASONS = ("artefact_too_large", "artefact_malformed", "out", "disk")


def sized(program: Baseline, size: str) -> Candidate:
    return program.ended_with(f"_place = _out + '/{program.task.artefact}'\n_os.truncate(_place, {size})")


def attack(program: Baseline) -> Candidate:
    return sized(program, str(program.profile.limits().artefact_bytes + 1))


def twin(program: Baseline) -> Candidate:
    return sized(program, "_os.path.getsize(_place)")
