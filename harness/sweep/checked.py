"""Every arm composed, checked and built before the first one starts; arms that would be the same session are one."""

import json
from collections.abc import Sequence
from dataclasses import replace

from harness.config.schema import check_value
from harness.config.setup import Setup, load
from harness.errors import UserError
from harness.report.escape import one_line
from harness.sweep.arms import Arm, Sweep


def checked(sweep: Sweep) -> tuple[Sweep, list[Setup]]:
    """The sweep without arms that repeat another one, and what each arm is made of. Raises UserError, which names the
    arm, for the first that cannot be; and where a program is varied that no agent of the sweep reads.
    """
    kept: dict[str, tuple[Arm, Setup]] = {}
    merged: list[Arm] = []
    known: dict[tuple[str, ...], Setup] = {}
    for arm in sweep.arms:
        setup = _loaded(arm, known)
        if kept.setdefault(_identity(setup), (arm, setup))[0] is not arm:
            merged.append(arm)
    arms, setups = [arm for arm, _ in kept.values()], [setup for _, setup in kept.values()]
    if merged:
        _check_merged(sweep.arms, arms, setups)
    return replace(sweep, arms=tuple(arms), merged=tuple(arm.label for arm in merged)), setups


def _loaded(arm: Arm, known: dict[tuple[str, ...], Setup]) -> Setup:
    """known: setups by their arguments but the repeat, which changes nothing else: a composition takes a while."""
    rest = tuple(each for each in arm.arguments if not each.startswith("repeat="))
    try:
        if rest not in known:
            known[rest] = load([*arm.arguments])
        repeat = check_value("repeat", int, arm.choices.get("repeat", known[rest].repeat))
    except UserError as error:
        raise UserError(f"arm {one_line(arm.label, 200)}: {error}") from error
    return replace(known[rest], repeat=repeat, config={**known[rest].config, "repeat": repeat})


def _identity(setup: Setup) -> str:
    """What the arm's session is, its limits included; the program is part of it only where the agent reads it."""
    config = {key: value for key, value in setup.config.items() if key not in ("program", "session")}
    program = setup.program if getattr(setup.agent, "reads_program", True) else ""
    return json.dumps([config, program], sort_keys=True, default=str)


def _check_merged(before: Sequence[Arm], arms: Sequence[Arm], setups: Sequence[Setup]) -> None:
    """Raises UserError where nothing would be compared, or where arms are equal for another reason than the program."""
    for key in before[0].choices:
        varied = len({arm.choices[key] for arm in before}) > 1
        if not varied or len({arm.choices[key] for arm in arms}) > 1:
            continue
        agents = " and ".join(sorted({setup.choices["agent"] for setup in setups}))
        if key == "program":
            raise UserError(
                f"program: no program is read by agent {agents}, so arms would be equal; give one program"
            )
        raise UserError(
            f"{key}: its values make no difference to a session, so these arms would be equal; give one"
        )
