"""`harness certify TAG [runs=5] [budget.seconds=4x ...]`: a certificate for the head of an earlier session, on demand.

TAG is the session's tag, or its folder.

Fresh trials of the head and of the baseline on the sealed split, as at a session's end. The first certificate of
a head is its result: asking again until one passes would be another search, so later ones say that they are.
Two intervals: over seeds (Welch), and, where the task tells what its score is made of, over its documents or items.

With another budget it says whether the gain carries over to it, by fresh interleaved trials of both there:

    budget.seconds=N, budget.steps=N    of one trial; 4x: four times what the session's trials have
    profile=NAME                        another profile of the task; budget.clock, budget.memory_gib, ... go with it
    constants.NAME=N                    a number of the program, in head and baseline alike, e.g. its depth
    share=0.5                           how much of the certified gain is asked for
    executor.slots=N                    trials at a time, as in a session

Carries over: the whole interval is above zero (in part: that share of the certified gain is excluded). Does not: it
lies below zero, or holds zero and excludes that share. Cannot tell: neither. docs/certificate.md says how to read it.

Examples:

    harness certify nanochat-claude-1a2b3c4d
    harness certify nanochat-claude-1a2b3c4d runs=8
    harness certify nanochat-claude-1a2b3c4d budget.seconds=4x
    harness certify digits-replay-1a2b3c4d budget.steps=16x constants.HIDDEN=128
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.commands import run
from harness.errors import UserError
from harness.keep.certificate import RUNS, Certificate
from harness.ledger.rows import CertificateRow
from harness.ledger.session_record import SessionRecord
from harness.report.words import UNLIKE_CONDITIONS, item_lines, transfer_lines
from harness.session.reopen import as_begun, only_folder, reopened
from harness.session.transfer import Asked, asked, certify_elsewhere, elsewhere, resized

if TYPE_CHECKING:
    from harness.config.setup import Setup
    from harness.session.folder import OpenSession

_USAGE = "usage: harness certify TAG [runs=5] [budget.seconds=4x ...]; harness list shows the tags"


def main(arguments: list[str]) -> int:
    """Raises HarnessError."""
    own = [each for each in arguments if "=" not in each or each.startswith("runs=")]
    folder, runs = only_folder(own, _USAGE)
    wanted = asked([each for each in arguments if each not in own])

    def kept_something(state: SessionRecord) -> None:
        if state.incumbent == state.baseline:
            raise UserError(f"{folder} kept nothing: its head is the baseline, there is no gain to certify")
        if wanted:
            from harness.config.setup import load

            begun = as_begun(load(state.started.arguments), folder)
            elsewhere(begun, wanted)
            resized(begun.task.source(), wanted.constants, begun.task.editable)

    with reopened(folder, kept_something) as (setup, bench):
        said = _at_another_budget(bench, setup, wanted, runs) if wanted else _at_its_own(bench, setup, runs)
    print("\n".join(said))
    return 0


def _at_its_own(bench: "OpenSession", setup: "Setup", runs: int) -> list[str]:
    from harness.session.certification import certify

    state = bench.trial_runner.state
    earlier = [row.passed for row in state.certificates if row.head_commit == state.incumbent]
    found = certify(bench.trial_runner, bench.workspace.files, runs or setup.budget.certificate or RUNS)
    first, *others = lines(found, earlier, setup.task.unit)
    said = [first, *(item_lines(found, setup.task.unit) if found.gain is not None else [])]
    said += [] if found.conditions_alike else [UNLIKE_CONDITIONS]
    return [*said, *others]


def _at_another_budget(bench: "OpenSession", setup: "Setup", wanted: Asked, runs: int) -> list[str]:
    state = bench.trial_runner.state
    row = certify_elsewhere(bench, setup, wanted, runs)
    said = transfer_lines(row, setup.task.unit)
    before = [each.word.replace("_", " ") for each in state.transfers[:-1] if each.folder == row.folder]
    if before:
        said.append(f"asked before, with: {', '.join(before)}; the first answer counts")
    if row.certified_gain is None:
        said.append("no certificate at its own budget to compare with: harness certify TAG makes one")
    return said


def lines(found: Certificate | CertificateRow, earlier: Sequence[bool] = (), unit: str = "") -> list[str]:
    """The certificate for people. earlier: whether earlier certificates of the same head passed."""
    suffix = f" {unit}" if unit else ""
    if found.gain is None or found.low is None or found.high is None:
        said = ["certificate NOT passed: a trial of the head or of the baseline ended without a score"]
    else:
        word = "passed" if found.passed else "NOT passed"
        interval = f"{found.confidence:.0%} interval over seeds {found.low:.3g} to {found.high:.3g}"
        said = [
            f"certificate {word}: gain {found.gain:.3g}{suffix}, {interval}, p {found.p:.2g} ({found.df} df)"
        ]
    if earlier:
        passed = sum(earlier)
        said.append(
            f"this head had {len(earlier)} certificate(s) before, {passed} passed; the first one counts, "
            "this one only tells how far it can be repeated"
        )
    return said


if __name__ == "__main__":
    sys.exit(run(main, "harness.certify", about=__doc__))
