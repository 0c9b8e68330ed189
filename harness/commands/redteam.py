"""`harness redteam [task=NAME] [key=value ...]`: the shipped attacks, each beside an honest twin, on a task here.

Task and settings are as for a session.

    --static         only what static guards are asked, without a trial: seconds
    --only A,B       only these attacks
    --attacks DIR    attacks of your own, instead of the shipped ones
    --html FILE      the result as a page
    --json FILE      the result for programs

Says of each attack whether it was caught, and of its twin whether it was blocked; catch rate and false-block rate with
intervals. Exit code 0: every attack that applies was caught and no twin was blocked. 1: otherwise. 2: the arguments
cannot be used.

Examples:

    harness redteam task=digits
    harness redteam task=nanochat --static --html redteam.html
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import parser, run
from harness.errors import UserError
from harness.redteam.attack import ATTACKS, Attack, attacks
from harness.redteam.program import Baseline
from harness.redteam.result import Result, line
from harness.redteam.suite import AttackFinding, AttackTrials, asked_guards, findings

if TYPE_CHECKING:
    from harness.config.setup import Setup


def main(arguments: list[str]) -> int:
    """Raises UserError."""
    options, settings = _options(arguments)
    chosen = _chosen(attacks(options.attacks), options.only, options.static)
    for file in (options.html, options.json):
        if file and not file.parent.is_dir():
            raise UserError(f"{file}: there is no folder {file.parent}")
    from harness.config.setup import load

    setup = load(settings, proposing=False)
    about = {"task": setup.task.name, "profile": setup.budget.profile}
    print(f"{len(chosen)} attacks on {about['task']}, profile {about['profile']}", flush=True)
    result = Result(about, list(_said(_all(setup, chosen))))
    print("\n".join(["", *result.summary()]))
    if options.html:
        _write(options.html, result.as_page())
    if options.json:
        _write(options.json, json.dumps(result.as_json(), indent=1) + "\n")
    return 0 if result.good else 1


def _options(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    asked = parser("redteam", __doc__)
    asked.add_argument("settings", nargs="*", metavar="key=value")
    asked.add_argument("--static", action="store_true")
    asked.add_argument("--only", default="")
    asked.add_argument("--attacks", type=Path, default=ATTACKS)
    asked.add_argument("--html", type=Path)
    asked.add_argument("--json", type=Path)
    options = asked.parse_intermixed_args(arguments)
    if words := [setting for setting in options.settings if "=" not in setting]:
        raise UserError(f"{words[0]!r} is no key=value; did you mean task={words[0]}?")
    return options, options.settings


def _chosen(found: list[Attack], only: str, static: bool) -> list[Attack]:
    names = list(filter(None, only.split(",")))
    if unknown := set(names) - {attack.name for attack in found}:
        known = ", ".join(attack.name for attack in found)
        raise UserError(f"--only: no attack {sorted(unknown)[0]!r}; there are {known}")
    chosen = [each for each in found if (not names or each.name in names) and (each.static or not static)]
    if not chosen:
        raise UserError("none of the chosen attacks is asked of static guards; leave out --static")
    return sorted(chosen, key=lambda attack: not attack.static)


def _all(setup: "Setup", chosen: list[Attack]) -> Iterator[AttackFinding]:
    """The static ones at once, then the others in one sandbox, which is opened only if there are any."""
    profile, source = setup.budget.trial_profile(setup.task), setup.task.source()
    program = Baseline(setup.task, profile, source)
    yield from findings(
        [each for each in chosen if each.static], program, asked_guards(program, setup.guards)
    )
    dynamic = [each for each in chosen if not each.static]
    if not dynamic:
        return
    from harness.session.rig import opened

    with tempfile.TemporaryDirectory(prefix="redteam-") as folder, opened(setup, Path(folder)) as rig:
        program = Baseline(setup.task, profile, source, rig.data)
        yield from findings(dynamic, program, AttackTrials(rig, program, setup.guards).respond)


def _said(found: Iterator[AttackFinding]) -> Iterator[AttackFinding]:
    for each in found:
        print(line(each), flush=True)
        yield each


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(run(main, "harness.redteam"))
