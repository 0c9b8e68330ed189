"""The code of a session by name: baseline, head, a certified step, a proposal. Reads, and writes nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.ledger.session_record import SessionRecord
from harness.ledger.workspace import FOLDER_NAME, Workspace

WORDS = "head, certified, step-N (a certified step), baseline, or the number of a proposal"


@dataclass(frozen=True, slots=True)
class Version:
    """commit: whose files; before: what its change is seen against; about: in words."""

    commit: str
    before: str
    about: str


def version(session: SessionRecord, what: str) -> Version:
    """What WORDS name. Raises UserError for what the session does not have."""
    baseline = session.baseline
    if what == "baseline":
        return Version(baseline, baseline, "the baseline")
    if what == "head":
        return Version(session.incumbent or baseline, baseline, f"the head ({len(session.keeps)} kept)")
    steps = session.certified_steps
    if what == "certified" and not steps and session.certificate is not None and session.certificate.passed:
        return Version(session.certificate.head_commit, baseline, "the certified head")
    if what == "certified" or what.startswith("step-"):
        number = str(len(steps)) if what == "certified" else what.removeprefix("step-")
        if not number.isdecimal() or not 1 <= int(number) <= len(steps):
            raise UserError(f"{what}: this session has {len(steps) or 'no'} certified steps; give {WORDS}")
        step = steps[int(number) - 1]
        return Version(step.head_commit, step.certified_commit or baseline, f"certified step {number}")
    return _proposal(session, what)


def _proposal(session: SessionRecord, what: str) -> Version:
    if not what.isdecimal():
        raise UserError(f"{what!r} is none of {WORDS}")
    for proposal in session.decided:
        if proposal.number == int(what):
            if not proposal.commit:
                raise UserError(
                    f"proposal {what} has no code: {proposal.problem or 'it could not be committed'}"
                )
            return Version(proposal.commit, f"{proposal.commit}^", f"proposal {what} ({proposal.decision})")
    raise UserError(f"there is no proposal {what}: {len(session.decided)} are decided")


@contextmanager
def repository(folder: Path) -> Iterator[Workspace]:
    """The session's repository, to be read, also while the session goes on. Raises UserError, LedgerError."""
    if not (folder / FOLDER_NAME).is_dir():
        raise UserError(f"{folder} has no {FOLDER_NAME}: its code is not there any more")
    workspace = Workspace(folder, folder.name, reading=True)
    try:
        yield workspace
    finally:
        workspace.close()
