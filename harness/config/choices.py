"""What can be chosen: config groups, their choices and one line on each, read from the files' comments.

No Hydra and no YAML parser here, so that `--help` and the "did you mean" lines cost nothing.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.config.locations import conf_folder, task_folders

_DEFAULT_LINE = re.compile(r"^  - (?P<group>[a-z_]+): (?P<choice>[\w-]+)(?: +# (?P<about>.*))?$")


@dataclass(frozen=True, slots=True)
class Group:
    """A config group. choices: name -> the line that explains it."""

    name: str
    about: str
    default: str
    choices: dict[str, str]


def _first_comment(file: Path) -> str:
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.strip() and not line.startswith("#"):
            return ""
        text = line.lstrip("#").strip()
        if text and not text.startswith("@"):
            return text
    return ""


def choice_files(group: str) -> dict[str, Path]:
    """Choice -> the YAML file behind it."""
    if group == "task":
        return {name: folder / "task.yaml" for name, folder in task_folders().items()}
    return {file.stem: file for file in sorted((conf_folder() / group).glob("*.yaml"))}


def groups() -> dict[str, Group]:
    """Every config group by name, in the order of config.yaml's defaults list."""
    lines = (conf_folder() / "config.yaml").read_text(encoding="utf-8").splitlines()
    found = {}
    for match in filter(None, map(_DEFAULT_LINE.match, lines)):
        name = match["group"]
        choices = {choice: _first_comment(file) for choice, file in choice_files(name).items()}
        found[name] = Group(name, match["about"] or "", match["choice"], choices)
    return found


def did_you_mean(wrong: str, choices: Iterable[str]) -> str:
    """The choices as one line, the likeliest first."""
    import difflib  # only for mistakes: the help answers without it

    known = sorted(choices)
    close = difflib.get_close_matches(wrong, known, n=1)
    listed = ", ".join(close + [choice for choice in known if choice not in close]) or "none"
    return f"did you mean {close[0]}? choices: {listed}" if close else f"choices: {listed}"
