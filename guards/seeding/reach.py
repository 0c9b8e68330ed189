"""How often a place in a program is reached."""

from guards.seeding.facts import Reach
from guards.source.index import NameScope, Seen
from guards.source.program import SourceProgram

_HOOKS = {"forward", "step", "backward", "__call__", "__iter__", "__next__", "__getitem__", "__getattr__"}
_OFTENEST = (Reach.LOOPED, Reach.WORKER, Reach.ALWAYS, Reach.CONDITIONAL)


class Reaching:
    """Follows call sites outwards; remembers what it has found."""

    def __init__(self, program: SourceProgram) -> None:
        self._program = program
        self._known: dict[int, Reach] = {}

    def of(self, seen: Seen) -> Reach:
        place = seen.place
        around = self._reached(function_around(seen.scope))
        if place.dead or around is Reach.DEAD:
            return Reach.DEAD
        if place.looped or around is Reach.LOOPED:
            return Reach.LOOPED
        return Reach.CONDITIONAL if place.conditional and around is not Reach.WORKER else around

    def _reached(self, function: NameScope | None) -> Reach:
        if function is None:
            return Reach.ALWAYS
        if id(function) not in self._known:
            self._known[id(function)] = Reach.ALWAYS  # for recursion
            self._known[id(function)] = self._from_sites(function)
        return self._known[id(function)]

    def _from_sites(self, function: NameScope) -> Reach:
        sites = self._program.sites(function)
        found = {self.of(site) for site in sites if function_around(site.scope) is not function} - {
            Reach.DEAD
        }
        if escapes := self._program.escapes(function):
            if all(self._program.is_worker_hook(one) for one in escapes):
                return Reach.WORKER
            return Reach.LOOPED  # whoever it was handed to may call it any number of times
        if not found:
            return _uncalled(getattr(function.node, "name", ""))
        if len(sites) > 1 and found == {Reach.ALWAYS}:
            return Reach.LOOPED
        return next(reach for reach in _OFTENEST if reach in found)


def _uncalled(name: str) -> Reach:
    """A function that nobody in the program calls: a library may, or nobody does."""
    if name == "__init__":
        return Reach.ALWAYS
    return Reach.LOOPED if name in _HOOKS else Reach.DEAD


def function_around(scope: NameScope | None) -> NameScope | None:
    """The function that a scope is part of, None at the level of the module."""
    while scope is not None and scope.kind != "function":
        scope = scope.parent
    return scope
