"""`harness certify TAG [runs=5]`: a certificate for the head of an earlier session, on demand.

TAG is the session's tag, or its folder.

Fresh trials of the head and of the baseline on the sealed split, as at a session's end. The first certificate of
a head is its result: asking again until one passes would be another search, so later ones say that they are.
Two intervals: over seeds (Welch), and, where the task tells what its score is made of, over its documents or items.

Examples:

    harness certify nanochat-claude-1a2b3c4d
    harness certify nanochat-claude-1a2b3c4d runs=8
"""

import sys
from collections.abc import Sequence

from harness.commands import run
from harness.errors import UserError
from harness.keep.certificate import RUNS, Certificate
from harness.ledger.rows import CertificateRow
from harness.report.words import UNLIKE_CONDITIONS, item_lines
from harness.session.reopen import only_folder, reopened

_USAGE = "usage: harness certify TAG [runs=5]; harness list shows the tags"


def main(arguments: list[str]) -> int:
    """Raises HarnessError."""
    folder, runs = only_folder(arguments, _USAGE)
    with reopened(folder) as (setup, bench):
        from harness.session.certification import certify

        state = bench.trial_runner.state
        if state.incumbent == state.baseline:
            raise UserError(f"{folder} kept nothing: its head is the baseline, there is no gain to certify")
        earlier = [row.passed for row in state.certificates if row.head_commit == state.incumbent]
        found = certify(bench.trial_runner, bench.workspace.files, runs or setup.budget.certificate or RUNS)
    first, *others = lines(found, earlier, setup.task.unit)
    said = [first, *(item_lines(found, setup.task.unit) if found.gain is not None else [])]
    said += [] if found.conditions_alike else [UNLIKE_CONDITIONS]
    print("\n".join([*said, *others]))
    return 0


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
