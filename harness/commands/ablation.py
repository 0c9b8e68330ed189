"""`harness ablation TAG [step=N] [runs=3]`: which single changes carry a certified step, or the final stack.

TAG is the session's tag, or its folder. step=N: inside the certified step of that number (results.tsv, report and
terminal name it), measured on that step's own head; without it every keep that stands, on the session's head. Each
change in turn is taken back (three-way, so that the others stay) and both are run on fresh seeds by turns, `runs`
times each, the head twice as often. A change that later ones build on cannot be taken back alone: it is measured
where it came in, with and without it. The intervals cover seeds, on val, and hold together with 95 %. Nothing is kept
or dropped by this; it is a row in the ledger.

Examples:

    harness ablation nanochat-claude-1a2b3c4d
    harness ablation sessions/nanochat-claude-1a2b3c4d step=2 runs=5
"""

import sys
from collections.abc import Mapping

from harness.commands import run
from harness.errors import UserError
from harness.ledger.rows import AblationRow
from harness.records import AblatedChange
from harness.report.words import ablation_line
from harness.session.ablation import ablate, stack_of
from harness.session.reopen import only_folder, reopened

_USAGE = "usage: harness ablation TAG [step=N] [runs=3]; harness list shows the tags"
_DEFAULT_RUNS = 3


def main(arguments: list[str]) -> int:
    """Raises HarnessError."""
    step, others = _step(arguments)
    folder, runs = only_folder(others, _USAGE)
    with reopened(folder, lambda state: stack_of(state, step, folder)) as (setup, bench):
        state = bench.trial_runner.state
        row = ablate(bench, stack_of(state, step, folder), runs or _DEFAULT_RUNS)
    titles = {number: proposal.title for number, proposal in state.proposals.items()}
    print("\n".join(lines(row, titles, setup.task.unit)))
    return 0


def lines(row: AblationRow, titles: Mapping[int, str], unit: str = "") -> list[str]:
    """The row for people; what is worth most stands first."""
    changes = sorted(row.changes, key=_worth)
    about = f"certified step {row.step}" if row.step else "everything that was kept"
    head = f"{about}, commit {row.head_commit[:10]} against {row.start_commit[:10]}; {row.confidence:.0%} intervals"
    head += " that hold together" if len(changes) > 1 else ""
    return [head, *(ablation_line(change, titles.get(change.proposal, ""), unit) for change in changes)]


def _worth(change: AblatedChange) -> tuple[bool, float]:
    return change.how != "whole", -(change.effect if change.effect is not None else float("inf"))


def _step(arguments: list[str]) -> tuple[int | None, list[str]]:
    """The number after step=, None without one, and the other arguments. Raises UserError."""
    given = [argument.removeprefix("step=") for argument in arguments if argument.startswith("step=")]
    others = [argument for argument in arguments if not argument.startswith("step=")]
    if given and not (given[-1].isdecimal() and int(given[-1]) >= 1):
        raise UserError(f"step={given[-1]}: give the number of a certified step, from 1 on")
    return int(given[-1]) if given else None, others


if __name__ == "__main__":
    sys.exit(run(main, "harness.ablation", about=__doc__))
