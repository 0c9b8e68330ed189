"""What can be chosen: config groups, their choices and one line on each, read from the files' comments.

No Hydra and no YAML parser here, so that `--help` and the "did you mean" lines cost nothing.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.config.locations import conf_folder, config_folders, task_folders

_DEFAULT_LINE = re.compile(r"^  - (?P<group>[a-z_]+): (?P<choice>[\w-]+)(?: +# (?P<about>.*))?$")


class Group(NamedTuple):  # no dataclass: they import inspect, a fifth of what --help takes
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


def choice_files(group: str, named: Sequence[Path] = ()) -> dict[str, Path]:
    """Choice -> the YAML file behind it: harness's own, then those that others add.

    named: folders that were given with --config-dir.
    """
    found = task_folders() if group == "task" else {}
    files = {name: folder / "task.yaml" for name, folder in found.items()}
    for folder in (conf_folder(), *config_folders(named)):
        for file in sorted((folder / group).glob("*.yaml")):
            files.setdefault(file.stem, file)
    return files


def groups(named: Sequence[Path] = ()) -> dict[str, Group]:
    """Every config group by name, in the order of config.yaml's defaults list."""
    lines = (conf_folder() / "config.yaml").read_text(encoding="utf-8").splitlines()
    found = {}
    for match in filter(None, map(_DEFAULT_LINE.match, lines)):
        name = match["group"]
        choices = {choice: _first_comment(file) for choice, file in choice_files(name, named).items()}
        found[name] = Group(name, match["about"] or "", match["choice"], choices)
    return found


def did_you_mean(wrong: str, choices: Iterable[str]) -> str:
    """The choices as one line, the likeliest first."""
    import difflib  # only for mistakes: the help answers without it

    known = sorted(choices)
    close = difflib.get_close_matches(wrong, known, n=1)
    listed = ", ".join(close + [choice for choice in known if choice not in close]) or "none"
    return f"did you mean {close[0]}? choices: {listed}" if close else f"choices: {listed}"
