"""A symbolic link stands where the artefact should be."""

from harness.redteam.program import Baseline, Candidate

REASONS = ("artefact_link", "artefact_not_regular")
LINK = """
_os.rename(_place, _out + "/other")
_os.symlink("other", _place)
"""
RENAMED = """
_os.rename(_place, _out + "/other")
_os.rename(_out + "/other", _place)
"""


def attack(program: Baseline) -> Candidate:
    return program.ended_with(f"_place = _out + '/{program.task.artefact}'\n{LINK}")


def twin(program: Baseline) -> Candidate:
    return program.ended_with(f"_place = _out + '/{program.task.artefact}'\n{RENAMED}")
