"""The text of `python -m harness --help`: every group with a line on it and on each of its choices."""

from collections.abc import Mapping, Sequence
from pathlib import Path

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

  -h, --help                   this text
  --version                    print the version, and stop
  --cfg                        print the whole configuration that the arguments give, checked, and stop
  -c, --cfg job|hydra|all      the same as Hydra composes it; with --resolve and -p, --package KEY
  -i, --info [all|config|defaults|defaults-tree|plugins|searchpath]
  -m, --multirun               a sweep; with --dry-run its arms, hours and costs, and nothing is started
  -cd, --config-dir FOLDER     its config groups add choices; conf/ in the current folder does so, too
  -cn, --config-name NAME      another primary configuration than config.yaml, from such a folder
  -cp, --config-path FOLDER    the same as -cd, but before harness's own choices
  -sc, --shell-completion install=bash|zsh|fish   put it into eval "$(...)"
  --hydra-help                 Hydra's own help

Commands (harness NAME --help):

{commands}
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


def help_text(commands: Mapping[str, str], named: Sequence[Path] = ()) -> str:
    """All of the help, ready to print. commands: name -> a line on it. named: folders given with --config-dir."""
    width = max(map(len, commands), default=0)
    listed = "\n".join(f"  {name:<{width}}  {about}" for name, about in commands.items())
    lines = [USAGE.replace("{commands}", listed), "Groups (* is the default):", ""]
    for group in groups(named).values():
        lines += [*_group_lines(group), ""]
    lines += ["Further settings (set one with e.g. session.tag=evening):", ""]
    return "\n".join(lines + [f"  {line}".rstrip() for line in _settings()])
