"""The text of `python -m harness --help`: every group with a line on it and on each of its choices."""

from harness.config.choices import Group, groups
from harness.config.locations import conf_folder

USAGE = """\
usage: python -m harness [group=choice] [key=value] ...

  python -m harness                          the default session: no account, no GPU
  python -m harness preset=smoke             the quickest way to see it work
  python -m harness task=NAME budget.hours=8 pick parts, set values
  python -m harness program=my_program.md    give the agent your own instructions
  python -m harness -m agent=random,optuna repeat=0,1,2   a sweep: a session for every combination

The same command on an interrupted session goes on where it stopped.

  -h, --help    this text
  --cfg         print the whole configuration that the arguments give, and stop
  --version     print the version, and stop
"""


def _group_lines(group: Group) -> list[str]:
    width = max((len(choice) for choice in group.choices), default=0)
    lines = [f"{group.name}: {group.about}"]
    for choice, about in group.choices.items():
        mark = "*" if choice == group.default else " "
        lines.append(f"  {mark} {choice:<{width}}  {about}".rstrip())
    return lines


def _settings() -> list[str]:
    """The part of config.yaml below its defaults list, as it is written there."""
    text = (conf_folder() / "config.yaml").read_text(encoding="utf-8")
    return text.split("  - _self_\n", 1)[1].strip().splitlines()


def help_text() -> str:
    """All of the help, ready to print."""
    lines = [USAGE, "Groups (* is the default):", ""]
    for group in groups().values():
        lines += [*_group_lines(group), ""]
    lines += ["Further settings (set one with e.g. session.tag=evening):", ""]
    return "\n".join(lines + [f"  {line}".rstrip() for line in _settings()])
