"""Salted seeding: in a trial, every call that seeds a generator mixes the trial's salt into what it is given.

A constant 42 is another stream in each trial, and the same one when a trial's seed is repeated; a generator that is
not seeded starts from the salt, too, and not from the machine's entropy. So no luck of a seed can be written into a
program, and a program that knows no --seed still gets a fresh one. `os.urandom`, `secrets` and `random.SystemRandom`
stay what they are: what they give cannot be repeated.

Standard library only; this file travels into the sandbox. The sandbox runs it before the candidate's first line, and
as `sitecustomize` in every Python that a candidate starts. It imports no library: each one is salted while it is being
imported, or at once if it is there already (`arm` in a process that was forked from a warm one). Types are changed
where they are, so identity, isinstance, subclasses, pickles and types from C remain what they were.

torch seeds everything through torch.Generator, numpy through SeedSequence and MT19937 (and Philox, where it is given a
key), Python through random.Random, jax through key() and PRNGKey(); scikit-learn, scipy and the rest through these.
Not met here, but by the static guard: a generator of one's own, and setting a state that was written down.
"""

from __future__ import annotations  # so that start-up need not import what only names types

import itertools
import operator
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ctypes
    from collections.abc import Callable, Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    Change = Callable[[Any], None]

VARIABLE = "HARNESS_SALT"
_IMMUTABLE_TYPE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE
_FLAGS_WORD = 21  # place of tp_flags in PyTypeObject, in words
_TORCH_DEFAULT_SEED = 67280421310721  # of a torch.Generator that nobody seeds
_MOST_REMEMBERED = 4096
_64_BITS = (1 << 64) - 1


class _Salt:
    """What is mixed in. place: which fork of which fork this process is; counters: unseeded draws so far, by kind."""

    def __init__(self) -> None:
        self.key = b""
        self.place: tuple[int, ...] = ()
        self.forks = 0
        self.counters: dict[str, Iterator[int]] = {}

    def mixed(self, kind: str, given: object, size: int = 32) -> int:
        """A number of `size` bytes that nobody can choose: a hash of the salt and of what was given."""
        from hashlib import blake2b

        text = f"{kind}\0{given!r}".encode()
        return int.from_bytes(blake2b(text, key=self.key[:64], digest_size=size).digest(), "little")

    def drawn(self, kind: str, size: int = 16) -> int:
        """For a generator without a seed: another number each time, and the same ones in the same order again."""
        number = next(self.counters.setdefault(kind, itertools.count()))
        return self.mixed(f"unseeded {kind}", (self.place, _worker(), number), size)

    def forked(self) -> None:
        self.place, self.forks, self.counters = (*self.place, self.forks), 0, {}

    def before_fork(self) -> None:
        self.forks += 1


_salt = _Salt()


def _worker() -> tuple[object, ...]:
    """What tells processes apart that were not forked: a spawned worker's number, a started program's arguments."""
    process = sys.modules.get("multiprocessing.process")
    identity = process.current_process()._identity if process else ()
    arguments = () if _salt.place else tuple(getattr(sys, "argv", ())[1:])
    return (identity, arguments, os.environ.get("RANK"))


def supported() -> bool:
    """Whether this Python's types can be changed in place (CPython with the usual layout)."""
    return sys.implementation.name == "cpython" and _flags(int).value == int.__flags__


def arm(salt: bytes) -> None:
    """Salt everything in this process from now on, also what was imported before."""
    _salt.key = salt
    _salt.place, _salt.forks, _salt.counters = (), 0, {}
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
        os.register_at_fork(before=_salt.before_fork, after_in_child=_salt.forked)
    for name, (change, restart) in _CHANGES.items():
        if (module := sys.modules.get(name)) is not None:
            _changed(module, change)
            restart(module)
    _restart_others()


class _Finder:
    """Lets the other finders find a module that seeds, and changes it when it has been executed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _CHANGES:
            return None
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(fullname, path, target)) is not None:
                _watch(spec.loader, *_CHANGES[fullname])
                return spec
        return None


def _watch(loader: Any, change: Change, restart: Change) -> None:
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        _changed(module, change)
        restart(module)

    loader.exec_module = exec_module


def _changed(module: ModuleType, change: Change) -> None:
    """Once a module object; a reload executes it anew, and makes Python's own classes anew."""
    try:
        change(module)
    except AttributeError as error:
        raise ImportError(
            f"{module.__name__} cannot be salted: {error}; is this version newer than the harness?"
        ) from error


# --- changing methods where they are ----------------------------------------------------------------------------


def _flags(kind: type) -> ctypes.c_ulong:
    import ctypes

    return ctypes.c_ulong.from_address(id(kind) + _FLAGS_WORD * ctypes.sizeof(ctypes.c_void_p))


def _set(kind: type, **members: Any) -> None:
    """Like setattr, for types from C as well."""
    flags = _flags(kind)
    if flags.value != kind.__flags__:
        raise ImportError("this Python's types have another layout: seeding cannot be salted")
    closed = flags.value & _IMMUTABLE_TYPE
    flags.value &= ~closed
    try:
        for name, member in members.items():
            setattr(kind, name, member)
    finally:
        flags.value |= closed


def _is_ours(function: Any) -> bool:
    return getattr(function, "__module__", None) == __name__


def _named(original: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Name and docstring of the original, and no way back to it."""

    def rename(function: Callable[..., Any]) -> Callable[..., Any]:
        function.__name__ = original.__name__
        function.__qualname__ = getattr(original, "__qualname__", original.__name__)
        function.__doc__ = original.__doc__
        return function

    return rename


# --- Python's random --------------------------------------------------------------------------------------------


def _change_random(module: Any) -> None:
    original = module.Random.seed
    if _is_ours(original):
        return

    @_named(original)
    def seed(self: Any, a: Any = None, version: int = 2) -> None:
        if a is None:
            if sys._getframe(2).f_globals.get("__name__") == "tempfile":
                original(self)  # names of files: nothing that a result rests on, and they should not collide
            else:
                original(self, _salt.drawn("random", 32))
        elif isinstance(a, str | bytes | bytearray):
            content = a.encode() if isinstance(a, str) else bytes(a)
            original(self, _salt.mixed("random", (content, version == 1)))
        elif isinstance(a, int | float):
            original(self, _salt.mixed("random", abs(a) if isinstance(a, int) else abs(hash(a))))
        else:
            original(self, a, version)  # an error, and it says which; or, before Python 3.11, a hash

    module.Random.seed = seed
    # Python itself seeds the shared generator from the machine's entropy in a forked process; this comes after it.
    os.register_at_fork(after_in_child=lambda: module._inst.seed())


def _restart_random(module: Any) -> None:
    module.seed = module._inst.seed
    module._inst.seed()


# --- numpy ------------------------------------------------------------------------------------------------------


def _change_seed_sequence(module: Any) -> None:
    """The salt goes into the spawn key, where children inherit it; what a program reads of it stays as it was."""
    kind = module.SeedSequence
    original, spawn_key = kind.__init__, kind.spawn_key
    if _is_ours(original):
        return

    def prefix() -> tuple[int, ...]:
        mixed = _salt.mixed("numpy", "", 16)
        return tuple(mixed >> (32 * place) & 0xFFFFFFFF for place in range(4))

    @_named(original)
    def initialise(self: Any, entropy: Any = None, *, spawn_key: Sequence[int] = (), **options: Any) -> None:
        key, salt = tuple(spawn_key), prefix()
        if entropy is None:
            entropy = _salt.drawn("numpy")
        original(self, entropy, spawn_key=key if key[:4] == salt else salt + key, **options)

    def shown(self: Any) -> tuple[int, ...]:
        key: tuple[int, ...] = spawn_key.__get__(self)
        return key[4:] if key[:4] == prefix() else key

    _set(kind, __init__=initialise, spawn_key=property(shown))


def _change_mt19937(module: Any) -> None:
    """Behind numpy.random.seed, RandomState(seed) and RandomState.seed."""
    original = module.MT19937._legacy_seeding
    if _is_ours(original):
        return

    @_named(original)
    def legacy_seeding(self: Any, seed: Any) -> None:
        original(self, seed)  # says what is wrong with a seed that cannot be one
        if seed is not None:
            mixed = _salt.mixed("numpy legacy", _legacy_key(seed))
            original(self, [mixed >> (32 * place) & 0xFFFFFFFF for place in range(8)])

    _set(module.MT19937, _legacy_seeding=legacy_seeding)


def _legacy_key(seed: Any) -> object:
    try:
        return operator.index(seed.squeeze() if hasattr(seed, "squeeze") else seed)
    except TypeError:
        return [int(word) for word in (seed.ravel() if hasattr(seed, "ravel") else seed)]


def _change_philox(module: Any) -> None:
    original = module.Philox.__init__
    if _is_ours(original):
        return

    @_named(original)
    def initialise(self: Any, seed: Any = None, counter: Any = None, key: Any = None) -> None:
        original(self, seed, counter, key)
        if key is not None:
            words = [key] if isinstance(key, int) else [int(word) for word in key]
            whole = sum(word << (64 * place) for place, word in enumerate(words))
            original(self, None, counter, _salt.mixed("philox", whole, 16))

    _set(module.Philox, __init__=initialise)


def _restart_numpy(module: Any) -> None:
    """The generator behind numpy.random.rand and its like was made before it could be salted."""
    module._rand.seed()


# --- torch ------------------------------------------------------------------------------------------------------


def _change_torch(_: Any) -> None:
    """Once torch has given its types their docstrings, which it cannot do afterwards."""
    kind = sys.modules["torch._C"].Generator
    original, read = kind.manual_seed, kind.initial_seed
    if _is_ours(original):
        return
    given: dict[int, int] = {}

    @_named(original)
    def manual_seed(self: Any, seed: Any) -> Any:
        original(self, seed)
        wanted = int(seed) & _64_BITS
        mixed = _salt.mixed("torch", wanted, 8)
        if len(given) >= _MOST_REMEMBERED:
            given.clear()
        given[mixed] = wanted
        return original(self, mixed)

    @_named(kind.seed)
    def seed(self: Any) -> int:
        drawn = _salt.drawn("torch", 8)
        manual_seed(self, drawn)
        return drawn

    @_named(read)
    def initial_seed(self: Any) -> int:
        """What was asked for, so that a program finds the seed that it gave."""
        mixed = read(self)
        return given.get(mixed, int(mixed))

    def initialise(self: Any, *_: Any, **__: Any) -> None:
        manual_seed(self, _TORCH_DEFAULT_SEED)

    _set(kind, manual_seed=manual_seed, seed=seed, initial_seed=initial_seed, __init__=initialise)


def _restart_torch(_: Any) -> None:
    sys.modules["torch._C"].default_generator.manual_seed(_TORCH_DEFAULT_SEED)


def _restart_accelerator(module: Any) -> None:
    """A GPU's generators are made when it is first used, from a constant; this waits until then."""
    if getattr(module, "_is_compiled", lambda: False)():
        module.manual_seed_all(_TORCH_DEFAULT_SEED)


# --- jax --------------------------------------------------------------------------------------------------------


def _change_jax(module: Any) -> None:
    for name in ("key", "PRNGKey"):
        original = getattr(module, name)
        if not hasattr(original, "salted"):
            setattr(module, name, _salted_key(original))


def _salted_key(original: Any) -> Any:
    @_named(original)
    def key(seed: Any, *arguments: Any, **options: Any) -> Any:
        try:
            wanted = operator.index(seed)
        except TypeError:  # an array that is being traced, or no seed at all
            return original(seed, *arguments, **options)
        return original(_salt.mixed("jax", wanted, 4) >> 1, *arguments, **options)

    key.salted = True  # type: ignore[attr-defined] # a mark on a function
    return key


# --- generators that modules made while they were imported ------------------------------------------------------


def _restart_others() -> None:
    """Every generator that is here already and is not shared: from the salt and from its place in a module, if any."""
    import gc

    python, numpy = sys.modules.get("random"), sys.modules.get("numpy.random")
    if python is None:
        return
    kinds: tuple[type, ...] = (python.Random,)
    kinds += (numpy.BitGenerator, numpy.Generator, numpy.RandomState) if numpy else ()
    found: dict[int, tuple[Any, str]] = {}
    for place, module in sorted(sys.modules.items()):
        for name, value in sorted(getattr(module, "__dict__", {}).items()):
            if issubclass(type(value), kinds):
                inner = _inner(value)
                found.setdefault(id(inner), (inner, f"{place}.{name}"))
    for value in gc.get_objects():
        if issubclass(type(value), kinds):  # isinstance would ask the object
            inner = _inner(value)
            found.setdefault(id(inner), (inner, f"{type(inner).__name__} {len(found)}"))
    shared = [python._inst, *([numpy.mtrand._rand._bit_generator] if numpy else [])]
    for value, name in found.values():
        if not any(value is one for one in shared):
            _restart_one(value, f"at import {name}")


def _inner(value: Any) -> Any:
    """What draws behind numpy's generators."""
    return getattr(value, "_bit_generator", None) or getattr(value, "bit_generator", value)


def _restart_one(value: Any, name: str) -> None:
    """What draws from the machine's entropy has no seed."""
    random = sys.modules["random"]
    if not isinstance(value, random.Random):
        sequence = sys.modules["numpy.random"].SeedSequence
        value.state = type(value)(sequence(_salt.mixed(name, ""))).state
    elif type(value).__name__ != "SystemRandom":
        random.Random.seed(value, name)  # a subclass may take no seed


# --- programs that a candidate starts ---------------------------------------------------------------------------


def _change_subprocess(module: Any) -> None:
    """Spawned workers get this interpreter's flags. Without -S they import sitecustomize, which is this file."""
    original = module._args_from_interpreter_flags
    if _is_ours(original):
        return

    @_named(original)
    def flags() -> list[str]:
        return [flag for flag in original() if flag != "-S"]

    module._args_from_interpreter_flags = flags


# --- an array's layout -----------------------------------------------------------------------------------------


def _change_safetensors(module: Any) -> None:
    """safetensors.numpy 0.8 writes an array's memory as it lies, so a transposed one comes back as other numbers."""
    import numpy as np

    def in_order(original: Any) -> Any:
        @_named(original)
        def write(tensor_dict: Any, *arguments: Any, **options: Any) -> Any:
            ordered = {name: np.asarray(array, order="C") for name, array in tensor_dict.items()}
            return original(ordered, *arguments, **options)

        return write

    if not _is_ours(module.save):
        module.save, module.save_file = in_order(module.save), in_order(module.save_file)


def _nothing(_: Any) -> None:
    pass


_CHANGES: dict[str, tuple[Change, Change]] = {
    "random": (_change_random, _restart_random),
    "numpy.random.bit_generator": (_change_seed_sequence, _nothing),
    "numpy.random._mt19937": (_change_mt19937, _nothing),
    "numpy.random._philox": (_change_philox, _nothing),
    "numpy.random.mtrand": (_nothing, _restart_numpy),
    "torch._torch_docs": (_change_torch, _restart_torch),
    "torch": (_change_torch, _restart_torch),
    "torch.cuda": (_nothing, _restart_accelerator),
    "jax._src.random": (_change_jax, _nothing),
    "subprocess": (_change_subprocess, _nothing),
    "safetensors.numpy": (_change_safetensors, _nothing),
}
"""Module -> what is changed in it once it was executed, and how its shared generators start anew."""


if VARIABLE in os.environ and __name__ != "harness.trial.salted_seeding":
    arm(os.environ[VARIABLE].encode())
