"""An artefact that evaluate.py is known to score: where it fails on a candidate's, this one tells whose fault that is.

The task's golden artefact, if there is one for this profile; else the first that was scored in this session, which is
the unmodified baseline's.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from harness.records import Files, TrialResult
from harness.task.golden import golden_folder, golden_source
from harness.task.task import Profile, Task

_NAME = "sound_artefact.json"


@dataclass(frozen=True, slots=True)
class Sound:
    """A file and the candidate's tree that goes with it."""

    artefact: Path
    source: Files


class SoundArtefact:
    """folder: the session's."""

    def __init__(self, task: Task, profile: Profile, folder: Path) -> None:
        self._file = folder / _NAME
        self._folder, self._golden = folder, _golden(task, profile)
        self._found = False

    def find(self) -> Sound | None:
        """None where nothing was ever scored here, or what was is gone."""
        if self._golden:
            return self._golden
        try:
            about = json.loads(self._file.read_text(encoding="utf-8"))
            source = {name: base64.b64decode(content) for name, content in about["source"].items()}
            artefact = self._folder / about["artefact"]
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):  # torn by a power cut, say
            return None
        return Sound(artefact, source) if artefact.is_file() else None

    def remember(self, result: TrialResult, source: Files) -> None:
        """It was scored. Only the first one of a session that is still there is kept in mind."""
        if self._found or self.find():
            self._found = True
            return
        text = {name: base64.b64encode(content).decode() for name, content in source.items()}
        beside = self._file.with_suffix(".new")
        beside.write_text(json.dumps({"artefact": result.artefact, "source": text}), encoding="utf-8")
        beside.replace(self._file)


def _golden(task: Task, profile: Profile) -> Sound | None:
    """Golden artefacts belong to the first profile, or to one that scores alike."""
    first = next(iter(task.profiles.values()))
    artefact = golden_folder(task) / task.artefact
    alike = (first.classes, first.gpu, first.overlay) == (profile.classes, profile.gpu, profile.overlay)
    return Sound(artefact, golden_source(task)) if alike and artefact.is_file() else None
