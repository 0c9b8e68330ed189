"""The trials that count as evidence, by commit; what keep rules and guards ask again and again is kept up to date."""

from collections import defaultdict

from harness.records import Observation, Role

_OF_CONFIGURATION = (
    Role.BASELINE,
    Role.INCUMBENT,
    Role.CANDIDATE,
    Role.STEP_HEAD,
    Role.STEP_CERTIFIED,
)


class EvidencePool:
    """observations: commit -> finished and scored trials, oldest first. inconclusive: ids of disturbed ones."""

    def __init__(self) -> None:
        self.observations: dict[str, list[Observation]] = defaultdict(list)
        self.inconclusive: set[str] = set()
        self._confirmatory: dict[str, tuple[float, ...]] = {}
        self._changed: set[str] = set()
        self._place: dict[str, int] = {}
        self._commit_of: dict[str, str] = {}

    def add(self, seen: Observation) -> None:
        self.observations[seen.commit].append(seen)
        self._place.setdefault(seen.commit, len(self._place))
        self._commit_of[seen.trial_id] = seen.commit
        self._changed.add(seen.commit)

    def disregard(self, trial_id: str) -> None:
        """A guard says that the trial was disturbed."""
        self.inconclusive.add(trial_id)
        if trial_id in self._commit_of:
            self._changed.add(self._commit_of[trial_id])

    def counted(self, commit: str, *roles: Role) -> list[Observation]:
        """A commit's evidence, of these roles (default: those that a keep rule sees)."""
        wanted = roles or _OF_CONFIGURATION
        return [
            seen
            for seen in self.observations.get(commit, ())
            if seen.role in wanted and seen.trial_id not in self.inconclusive
        ]

    def confirmatory(self, baseline: str, sign: float) -> dict[str, tuple[float, ...]]:
        """Commit -> losses (score x sign) without the screening trial, where there are two or more."""
        if self._changed:
            groups = self._confirmatory | {
                commit: self._losses(commit, sign)[0 if commit == baseline else 1 :]
                for commit in self._changed
            }
            # In the order of first trials: sums over groups then have the same bits after a restart.
            self._confirmatory = {
                commit: groups[commit]
                for commit in sorted(groups, key=self._place.__getitem__)
                if groups[commit][1:]
            }
            self._changed.clear()
        return self._confirmatory

    def _losses(self, commit: str, sign: float) -> tuple[float, ...]:
        return tuple(sign * seen.score for seen in self.counted(commit) if seen.score is not None)
