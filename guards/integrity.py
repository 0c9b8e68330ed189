"""Nothing that the referee relies on may change: task files, the installed harness, data, held-out labels."""

import hashlib
from collections.abc import Mapping

from guards.verdicts import accept, inconclusive, reject
from harness.records import Evidence, Files, Json, Verdict


class Integrity:
    """Static: protected files of the candidate equal the incumbent's, byte for byte.
    Run-time: the manifests (SHA-256 by label, taken from bytes around the trials) agree.
    """

    name = "integrity"
    stages = ("static", "runtime", "promotion")

    def __call__(self, evidence: Evidence) -> Verdict:
        before = _protected(evidence.incumbent, evidence.editable)
        after = _protected(evidence.candidate, evidence.editable)
        if verdict := self._compared(before, after, "protected file", "file"):
            return verdict
        if evidence.stage == "static" and not evidence.manifest_after:
            return accept(self.name)
        if not evidence.manifest_before or not evidence.manifest_after:
            return inconclusive(
                self.name, "integrity.no_manifest", "there is no manifest from before and after the trials"
            )
        verdict = self._compared(evidence.manifest_before, evidence.manifest_after, "", "manifest")
        return verdict or accept(self.name, evidence={"protected": len(evidence.manifest_before)})

    def _compared(
        self, before: Mapping[str, str], after: Mapping[str, str], what: str, case: str
    ) -> Verdict | None:
        changed = sorted(label for label in before.keys() & after.keys() if before[label] != after[label])
        deleted = sorted(before.keys() - after.keys())
        added = sorted(after.keys() - before.keys())
        for kind, labels in (("changed", changed), ("deleted", deleted), ("added", added)):
            if labels:
                more = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
                message = f"{what} {labels[0]}{more} was {kind}"
                shown: list[Json] = [*labels[:20]]
                return reject(self.name, f"integrity.{case}_{kind}", message, {kind: shown})
        return None


def _protected(files: Files, editable: tuple[str, ...]) -> dict[str, str]:
    return {
        path: hashlib.sha256(content).hexdigest() for path, content in files.items() if path not in editable
    }
