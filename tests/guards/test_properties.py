"""What guards must do for any input at all."""

import ast
import random
import re

import pytest
from guard_table import FIXTURE, attacks, honest, line_of_guards
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guards.classification import Classification
from guards.seed_change import SeedChange
from guards.source.normal_form import normal_form
from guards.source.syntax import parsed
from harness.records import Evidence, Judgement, Verdict

TEXT = FIXTURE.read_text()
STATIC = [guard for guard in line_of_guards() if "static" in guard.stages]
KEPT = {
    "self",
    "super",
    "main",
    "forward",
    "load_predictor",
    "step",
    "args",
    "seed",
    "data",
    "out",
    "seconds",
    "kind",
}


def verdicts(candidate: bytes, incumbent: bytes = TEXT.encode()) -> list[Verdict]:
    tree = {"train.py": incumbent}
    return [guard(Evidence("static", ("train.py",), tree, {"train.py": candidate})) for guard in STATIC]


def local_names(text: str) -> list[str]:
    """Names that functions of the fixture bind and nobody else uses: safe to rename everywhere."""
    tree = ast.parse(text)
    stored = {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    defined = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("__")
    }
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    keywords = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    words = set(
        re.findall(
            r"\w+",
            " ".join(
                n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
            ),
        )
    )
    return sorted((stored | defined) - attributes - keywords - words - KEPT)


NAMES = local_names(TEXT)


def disguised(text: str, generator: random.Random) -> str:
    """The same program with other names, comments and layout."""
    for name in generator.sample(NAMES, 6):
        text = re.sub(rf"(?<![\w.\"]){name}(?![\w\"])", f"{name}_{generator.randrange(100)}x", text)
    lines = []
    for line in text.split("\n"):
        if (
            line.strip()
            and generator.random() < 0.05
            and not line.strip().startswith((")", "}", '"', "for", "if", "str", "]"))
        ):
            lines.append(" " * generator.randrange(8) + "# another comment")
        lines.append(line + ("  " if line.strip() and generator.random() < 0.05 else ""))
    return "\n".join(lines) + "\n" * generator.randrange(3)


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32))
def test_disguises_change_no_digest(seed: int) -> None:
    """Names, comments and layout never alter the normal form."""
    changed = disguised(TEXT, random.Random(seed))
    assert normal_form(parsed("a.py", changed.encode())) == normal_form(parsed("a.py", TEXT.encode()))


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32))
def test_disguises_change_no_verdict(seed: int) -> None:
    """An attack stays one under other names and an honest edit stays honest; so does its class."""
    generator = random.Random(seed)
    case = generator.choice([one for one in [*attacks(), *honest()] if one.candidate["train.py"].isascii()])
    plain = case.candidate["train.py"]
    try:
        ast.parse(plain)
    except SyntaxError:
        return
    changed = disguised(plain.decode(), generator).encode()
    if "scope" in case.guards or "complexity" in case.guards:
        return  # these count bytes on purpose
    for one, other in zip(verdicts(plain), verdicts(changed), strict=True):
        if one.guard not in ("classification", "complexity"):
            assert (one.judgement, one.reason) == (other.judgement, other.reason), (case.name, other.message)


@settings(max_examples=40)
@given(content=st.binary(max_size=300))
def test_bytes_crash_no_guard(content: bytes) -> None:
    """Any bytes get a verdict."""
    for verdict in verdicts(content):
        assert isinstance(verdict.judgement, Judgement)
    for verdict in verdicts(TEXT.encode(), content):
        assert isinstance(verdict.judgement, Judgement)


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_broken_programs_crash_no_guard(data: st.DataObject) -> None:
    """Programs with pieces cut out, doubled or swapped get a verdict."""
    lines = TEXT.split("\n")
    start = data.draw(st.integers(0, len(lines) - 1))
    length = data.draw(st.integers(0, 40))
    piece = lines[start : start + length]
    other = data.draw(st.integers(0, len(lines)))
    kept = lines[:start] + lines[start + length :] if data.draw(st.booleans()) else lines
    content = "\n".join(kept[:other] + piece + kept[other:]).encode()
    for verdict in verdicts(content):
        assert isinstance(verdict.judgement, Judgement)
        assert verdict.message.isprintable()


@pytest.mark.parametrize(
    "content",
    [
        b"x = " + b"(" * 5000 + b"1" + b")" * 5000,
        b"x = " + b"-" * 3000 + b"1",
        b"x = " + b" + ".join([b"y"] * 4000),
        b"x = " + b"a." * 3000 + b"b",
        b"".join(b" " * n + b"if x:\n" for n in range(90)) + b" " * 90 + b"y = 1\n",
        b"x = 2 ** 10 ** 10 ** 10\nimport torch\ntorch.manual_seed(9 ** 9 ** 9 ** 9)\n",
        b"import torch\ntorch.manual_seed('a' * 10 ** 12)\n",
        b"import torch\n" + b"".join(b"x%d = (x%d, x%d)\n" % (n + 1, n, n) for n in range(400))
        + b"torch.manual_seed(x400)\n",
        b"import torch\n" + b"".join(b"def f%d(a): return f%d(a) + f%d(a)\n" % (n, n + 1, n + 1) for n in range(60))
        + b"torch.manual_seed(f0(1))\n",
        b"import torch\ndef f(a): return g(a)\ndef g(a): return f(a)\ntorch.manual_seed(f(3))\n",
        b"import torch\nx = x\nx += x\ntorch.manual_seed(x)\n",
        b"class A:\n    def seed(self): return self.seed()\nimport torch\ntorch.manual_seed(A().seed())\n",
        b"global x\nx = 1\n",
        b"match x:\n    case {'seed': y, **rest}: torch.manual_seed(y)\n    case [1, *z]: pass\n",
        b"try:\n    pass\nexcept* ValueError as e:\n    pass\n",
        b"async def f():\n    async with x as y:\n        async for z in y:\n            await z\n"
        b"    return [q async for q in z]\n",
        b"def f(a, /, b, *c, d=1, **e): ...\nf(*x, **y)\n",
        b"import torch\ntorch.manual_seed(\n    *x, **y)\n",
        b"getattr()\nsetattr(x)\nadd_argument()\np.add_argument('--seed', dest=1)\n",
        b"x: int\ny: int = 1\n(z): int = 2\ndel x\nassert y\nx, *y = z\n",
        b"f'{x!r:>{y}}' f'{x=}'\n",
        b"\xef\xbb\xbfx = 1\n",
        b"",
    ],
)  # fmt: skip
def test_odd_programs_get_a_verdict_soon(content: bytes) -> None:
    """Nesting, recursion, exponential values, rare syntax: a verdict, never an exception."""
    for verdict in verdicts(content):
        assert isinstance(verdict.judgement, Judgement)


def test_the_seed_guard_never_looks_at_names() -> None:
    """The same seeding under any names at all is accepted."""
    one = b"import torch\ndef set_seed(seed):\n    torch.manual_seed(seed)\nset_seed(42)\n"
    other = b"import torch as t\ndef a(b):\n    t.manual_seed(b)\nc = 40 + 2\na(c)\n"
    found = SeedChange()(Evidence("static", ("train.py",), {"train.py": one}, {"train.py": other}))
    assert found.judgement is Judgement.ACCEPT, found


def test_classification_names_one_of_its_classes_for_anything() -> None:
    """Even for what cannot be read."""
    for content in (b"\xff", b"x = (", b"", b"x = 1\n"):
        found = Classification()(
            Evidence("static", ("train.py",), {"train.py": TEXT.encode()}, {"train.py": content})
        )
        assert found.judgement is Judgement.ACCEPT
        assert found.evidence["category"]
