"""Salted seeding: a lucky seed cannot be written into a program, and an honest program notices nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from harness.trial import salted_seeding

HERE = Path(__file__).parent
SCRIPT = str(HERE / "seeding_script.py")
OWN = ("python", "numpy", "torch")  # generators of their own
KINDS = (*OWN, pytest.param("libraries", marks=pytest.mark.slow))  # scipy and scikit-learn draw from numpy's


@pytest.fixture(scope="module")
def prelude(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a trial's programs find it in, by the name that Python imports by itself."""
    folder = tmp_path_factory.mktemp("prelude")
    (folder / "sitecustomize.py").write_bytes(Path(salted_seeding.__file__).read_bytes())
    return folder


def started(prelude: Path, salt: str | None, *arguments: str) -> str:
    """What a program prints, in an interpreter that is salted or not."""
    salted = {} if salt is None else {salted_seeding.VARIABLE: salt, "PYTHONPATH": str(prelude)}
    environment = {**os.environ, "PYTHONHASHSEED": "0", **salted}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def drawn(prelude: Path, salt: str | None, code: str) -> Any:
    return json.loads(started(prelude, salt, "-c", code).splitlines()[-1])


@pytest.fixture(scope="module")
def drawn_kinds(prelude: Path) -> Callable[[str], dict[str, Any]]:
    """A kind -> what the script drew, who drew it first; kinds that are imported together are drawn together, once."""
    together = cache(lambda kinds: _draws(prelude, kinds))
    return lambda kind: {
        name: found[kind] for name, found in together(OWN if kind in OWN else (kind,)).items()
    }


def _draws(prelude: Path, kinds: tuple[str, ...]) -> dict[str, Any]:
    """In fresh interpreters and in forks of one that had imported everything before: who drew -> kind -> draws."""
    fresh = [json.loads(started(prelude, "1", SCRIPT, *kinds).splitlines()[-1]) for _ in range(2)]
    code = f"""
import json, os, runpy, sys
sys.path.insert(0, {str(HERE)!r})
import seeding_script
import random, {"torch" if "torch" in kinds else "scipy.stats, sklearn.linear_model"}
def draws(salt):
    ours, theirs = os.pipe()
    if os.fork() == 0:
        os.close(ours)
        if salt is not None:
            runpy.run_path({str(prelude / "sitecustomize.py")!r}, run_name="prelude")["arm"](salt)
        with open(theirs, "w") as file:
            json.dump({{kind: seeding_script.KINDS[kind]() for kind in {kinds!r}}}, file)
        os._exit(0)
    os.close(theirs)
    with open(ours) as file:
        return json.load(file)
print(json.dumps({{name: draws(salt) for name, salt in
    [("plain", None), ("one", b"1"), ("again", b"1"), ("other", b"2")]}}))
"""
    return {"fresh": fresh[0], "fresh again": fresh[1], **drawn(prelude, None, code)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_seed_is_another_stream_in_each_trial(
    drawn_kinds: Callable[[str], dict[str, Any]], kind: str
) -> None:
    """Attack: 42 in every way to say it. None of the draws is the same with another salt, or as without one."""
    draws = drawn_kinds(kind)
    for name, value in draws["one"].items():
        assert value != draws["other"][name], name
        assert value != draws["plain"][name], name
        assert draws["fresh"][name] not in (draws["other"][name], draws["plain"][name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_trial_seed_gives_the_same_bits(
    drawn_kinds: Callable[[str], dict[str, Any]], kind: str
) -> None:
    """Generators without a seed included: a trial can be repeated, in a fresh process or in a fork of a warm one."""
    draws = drawn_kinds(kind)
    assert draws["one"] == draws["again"]
    assert draws["fresh"] == draws["fresh again"]
    for name, value in draws["one"].items():
        assert "unseeded" in name or name == "seed" or value == draws["fresh"][name], name


@pytest.mark.slow
def test_what_is_the_same_without_salt_is_the_same_with_it(prelude: Path) -> None:
    """Two ways to say one seed stay one stream, an unseeded generator differs from the next, state can be restored."""
    code = """
import json, pickle, random
import numpy as np, torch
a, b = np.random.default_rng(5), np.random.default_rng(np.random.PCG64(np.random.SeedSequence(5)))
checks = [a.random() == b.random()]
checks.append(random.Random(5).random() == random.Random(5.0).random() == random.Random(-5).random())
checks.append(random.Random("x").random() == random.Random(b"x").random())
checks.append(random.Random().random() != random.Random().random())
checks.append(np.random.default_rng().random() != np.random.default_rng().random())
first, state = random.random(), random.getstate()
second = random.random(); random.setstate(state); checks.append(random.random() == second)
g = torch.Generator().manual_seed(3); state = g.get_state(); x = torch.rand(3, generator=g)
checks.append(torch.equal(torch.rand(3, generator=torch.Generator().set_state(state)), x))
torch.manual_seed(4); checks.append(torch.initial_seed() == 4)
x = torch.rand(2); torch.manual_seed(torch.initial_seed()); checks.append(torch.equal(torch.rand(2), x))
with torch.random.fork_rng():
    torch.manual_seed(9); inside = torch.rand(1)
before = torch.rand(1); torch.manual_seed(4); torch.rand(2); checks.append(torch.equal(torch.rand(1), before))
rng = np.random.default_rng(6); copy = pickle.loads(pickle.dumps(rng)); checks.append(rng.random() == copy.random())
legacy = np.random.RandomState(6); copy = pickle.loads(pickle.dumps(legacy))
checks.append(legacy.rand() == copy.rand())
python = random.Random(6); copy = pickle.loads(pickle.dumps(python)); checks.append(python.random() == copy.random())
s = np.random.SeedSequence(7); checks.append((s.entropy, s.spawn_key, s.spawn(1)[0].spawn_key) == (7, (), (0,)))
checks.append(np.random.SeedSequence(s.entropy).generate_state(1) == s.generate_state(1))
copy = pickle.loads(pickle.dumps(s)); checks.append(copy.generate_state(1) == s.generate_state(1))
child = np.random.SeedSequence(7).spawn(1)[0]
checks.append(np.random.SeedSequence(7, spawn_key=(0,)).generate_state(1) == child.generate_state(1))
print(json.dumps([bool(check) for check in checks]))
"""
    for salt in (None, "1"):
        assert all(drawn(prelude, salt, code)), salt


@pytest.mark.slow
def test_types_stay_what_they_were(prelude: Path) -> None:
    """Honest programs ask for types, subclass them and pass wrong seeds: the answers are those of a plain Python."""
    code = """
import json, random
import numpy as np, torch
class Own(torch.Generator):
    pass
class OwnSequence(np.random.SeedSequence):
    pass
def error(call, *arguments):
    try:
        return call(*arguments) is None
    except Exception as caught:
        return type(caught).__name__
print(json.dumps([
    type(np.random.default_rng(1).bit_generator) is np.random.PCG64,
    isinstance(torch.default_generator, torch.Generator), type(torch.Generator()) is torch._C.Generator,
    isinstance(np.random.mtrand._rand, np.random.RandomState), isinstance(random._inst, random.Random),
    Own(device="cpu").manual_seed(1) is not None, OwnSequence(3).entropy,
    torch.Generator().device.type,
    error(torch.manual_seed, "x"), error(torch.manual_seed, 2**65), error(torch.Generator, "nowhere"),
    error(np.random.seed, -1), error(np.random.seed, 2**32), error(np.random.RandomState, "x"),
    error(np.random.default_rng, -1), error(np.random.default_rng, "x"), error(random.seed, [1]),
    error(np.random.Philox, 1, None, 2), random.seed.__name__, np.random.SeedSequence.__doc__ is not None,
    torch.Generator.manual_seed.__doc__ is not None, random.SystemRandom().seed(5),
]))
"""
    assert drawn(prelude, "1", code) == drawn(prelude, None, code)


WORKERS = """
import json, multiprocessing, os, random, subprocess, sys
import numpy as np
def draw(number):
    seeded = [random.Random(42).random(), np.random.default_rng(42).random()]
    return seeded, [np.random.default_rng().random(), random.random()]
class Numbers:
    def __len__(self):
        return 4
    def __getitem__(self, index):
        return draw(index)[0]
if __name__ == "__main__":
    import torch
    found = {"own": draw(0)}
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            found[method] = pool.map(draw, [0])[0]
    found["loader"] = torch.utils.data.DataLoader(Numbers(), num_workers=1).__iter__().__next__()[0].tolist()
    child = subprocess.run([sys.executable, sys.argv[1], "python"], capture_output=True, text=True, check=True)
    found["program"] = json.loads(child.stdout)
    print(json.dumps(found))
"""


@pytest.mark.slow
def test_workers_and_programs_are_salted_too(prelude: Path, tmp_path: Path) -> None:
    """Fork, spawn, forkserver, DataLoader, a program of its own; workers do not all draw the same unseeded numbers."""
    (tmp_path / "work.py").write_text(WORKERS)
    found = {
        name: json.loads(started(prelude, salt, *flags, str(tmp_path / "work.py"), SCRIPT).splitlines()[-1])
        for name, salt, flags in (("one", "1", ()), ("other", "2", ("-s", "-P", "-B", "-u")))
    }
    for name in ("own", "fork", "spawn", "forkserver"):
        assert found["one"][name][0] == found["one"]["own"][0] != found["other"][name][0]
    unseeded = [tuple(found["one"][name][1]) for name in ("own", "fork", "spawn")]
    assert len(set(unseeded)) == 3
    assert found["one"]["loader"] != found["other"]["loader"]
    assert found["one"]["program"]["python"] != found["other"]["program"]["python"]


def test_nothing_is_imported_that_the_program_does_not_import(prelude: Path) -> None:
    """Start-up stays what it was: neither torch nor numpy nor random comes along."""
    code = "import json, sys; print(json.dumps(sorted({'torch', 'numpy', 'random', 'subprocess'} & set(sys.modules))))"
    assert drawn(prelude, "1", code) == drawn(prelude, None, code)


def test_a_reload_does_not_undo_it(prelude: Path) -> None:
    """Attack: Python's generator executed anew."""
    code = "import importlib, json, random; importlib.reload(random); print(json.dumps(random.Random(42).random()))"
    assert drawn(prelude, "1", code) != drawn(prelude, "2", code)


@pytest.mark.slow
def test_a_compiled_program_gives_the_same_bits(prelude: Path) -> None:
    """torch.compile sees the same generators: dropout in it follows the salt, too, and repeats."""
    code = """
import json, torch
torch.manual_seed(42)
step = torch.compile(lambda x: torch.nn.functional.dropout(x, 0.5) + torch.rand_like(x), backend="aot_eager")
print(json.dumps(step(torch.ones(8)).tolist()))
"""
    assert drawn(prelude, "1", code) == drawn(prelude, "1", code) != drawn(prelude, "2", code)


def test_a_transposed_array_is_written_as_what_it_is(prelude: Path, tmp_path: Path) -> None:
    """safetensors.numpy writes memory as it lies; in a trial the numbers stay the same, however an array lies."""
    code = f"""
import json
import numpy as np
from safetensors.numpy import load, load_file, save, save_file
array = np.arange(24.0).reshape(4, 6)
arrays = dict(a=np.asfortranarray(array), b=array, c=array.T, d=array[:, ::2], e=array[::-1], f=array[1:, 2:])
arrays["g"] = np.broadcast_to(array[0], (4, 6))
save_file(arrays, {str(tmp_path / "a.safetensors")!r})
found, other = load_file({str(tmp_path / "a.safetensors")!r}), load(save(arrays))
print(json.dumps([found[name].tolist() == other[name].tolist() == arrays[name].tolist() for name in arrays]))
"""
    assert drawn(prelude, "1", code) == [True] * 7


@pytest.mark.slow
def test_seeding_costs_microseconds(prelude: Path) -> None:
    """A program that seeds in every step loses far less than a hundredth of a step: printed, and bounded widely."""
    code = """
import json, random, timeit
import numpy as np, torch
calls = {"torch": lambda: torch.manual_seed(1), "numpy": lambda: np.random.default_rng(1)}
calls["python"] = lambda: random.seed(1)
print(json.dumps({name: timeit.timeit(call, number=2000) / 2000 * 1e6 for name, call in calls.items()}))
"""
    plain, salted = drawn(prelude, None, code), drawn(prelude, "1", code)
    print("microseconds a call, plain and salted:", plain, salted)
    assert all(salted[name] < 10 * plain[name] + 500 for name in plain)


def test_generators_that_were_made_at_import_are_salted(prelude: Path, tmp_path: Path) -> None:
    """A module's own generators are there before the salt is: they follow it all the same, each with its own stream."""
    (tmp_path / "library.py").write_text(
        "import random\nimport numpy as np\nmine, other = random.Random(), random.Random(3)\n"
        "rng = np.random.default_rng(3)\nrs = np.random.RandomState()\nheld = [np.random.default_rng()]\n"
        "class Odd(random.Random):\n    def seed(self, _=None):\n        super().seed(3)\n"
        "odd, entropy = Odd(), random.SystemRandom()\n"
    )
    code = f"""
import json, os, runpy, sys
sys.path.insert(0, {str(tmp_path)!r})
import library
def drawn(salt):
    ours, theirs = os.pipe()
    if os.fork() == 0:
        runpy.run_path({str(prelude / "sitecustomize.py")!r}, run_name="prelude")["arm"](salt)
        found = [library.mine.random(), library.other.random(), library.rng.random(), library.rs.rand(),
                 library.held[0].random(), library.odd.random()]
        with open(theirs, "w") as file:
            json.dump(found, file)
        os._exit(0)
    os.close(theirs)
    with open(ours) as file:
        return json.load(file)
print(json.dumps([drawn(b"1"), drawn(b"1"), drawn(b"2")]))
"""
    one, again, other = drawn(prelude, None, code)
    assert one == again
    assert len({*one, *other}) == len(one) + len(other)
