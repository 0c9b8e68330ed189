"""Prints how much the guards catch and how much they block: every attack and every honest edit of the corpus.

python scripts/guard_table.py [--verbose]
"""

import argparse
import random
import string
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from guards.budget_honesty import BudgetHonesty  # noqa: E402 - the path is set above
from guards.classification import Classification  # noqa: E402
from guards.complexity import Complexity  # noqa: E402
from guards.duplicates import Duplicates  # noqa: E402
from guards.integrity import Integrity  # noqa: E402
from guards.scope import Scope  # noqa: E402
from guards.seed_behaviour import SeedBehaviour  # noqa: E402
from guards.seed_change import SeedChange  # noqa: E402
from guards.side_metrics import SideMetrics  # noqa: E402
from harness.protocols import Guard  # noqa: E402
from harness.records import Evidence, Judgement, Verdict  # noqa: E402

CORPUS = ROOT / "tests/guards/corpus"
FIXTURES = ROOT / "tests/guards/fixtures"
FIXTURE = FIXTURES / "train.py"
TASKS = ROOT / "tasks"
PROTECTED = {
    "prepare.py": b"def prepare(public, private):\n    pass\n",
    "evaluate.py": b"def evaluate(*_):\n    pass\n",
}


@dataclass(frozen=True)
class Case:
    """One proposal of the corpus. base: what it changes; guards, reasons: who may reject it and how, empty for honest
    ones.
    """

    name: str
    base: str
    candidate: dict[str, bytes]
    guards: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    category: str = ""
    marks: frozenset[str] = frozenset()
    incumbent: dict[str, bytes] = field(default_factory=dict)
    editable: tuple[str, ...] = ("train.py",)

    @property
    def evidence(self) -> Evidence:
        return Evidence("static", self.editable, self.incumbent, self.candidate)


def line_of_guards() -> tuple[Guard, ...]:
    """The guards in the order of conf/guards/default.yaml."""
    return (
        Scope(), Integrity(), SeedChange(), Duplicates(), Complexity(), Classification(), SeedBehaviour(),
        SideMetrics(), BudgetHonesty(),
    )  # fmt: skip


def doubts(evidence: Evidence, guards: Sequence[Guard]) -> tuple[str, ...]:
    """What the static guards accept, but leave to trials to show."""
    return tuple(one for guard in guards if evidence.stage in guard.stages for one in guard(evidence).doubts)


def judged(evidence: Evidence, guards: Sequence[Guard]) -> Verdict | None:
    """The first verdict that is not an acceptance, as a session asks them; None when all accept."""
    for guard in guards:
        if evidence.stage in guard.stages:
            verdict = guard(evidence)
            if verdict.judgement is not Judgement.ACCEPT:
                return verdict
    return None


@cache
def honest() -> list[Case]:
    """Edits that must pass."""
    return [_case(entry, Case) for entry in entries("honest*.toml", "edit")]


@cache
def attacks() -> list[Case]:
    """Proposals that must be rejected."""
    return [_case(entry, Case) for entry in entries("attacks*.toml", "attack")]


def entries(pattern: str, key: str) -> list[dict]:
    """What stands under a key in the corpus's files of that pattern, as it is written there."""
    files = sorted(CORPUS.glob(pattern))
    return [entry for file in files for entry in tomllib.loads(file.read_text(encoding="utf-8"))[key]]


def program(base: str) -> str:
    """What most edits change: a script of the fixtures, or the train.py of the task of that name as it is today."""
    return programs(base)["train.py"]


@cache
def programs(base: str) -> dict[str, str]:
    """Every file that an edit may change, by its name."""
    fixture = FIXTURES / f"{base}.py"
    if fixture.exists():
        return {"train.py": fixture.read_text(encoding="utf-8")}
    names = yaml.safe_load((TASKS / base / "task.yaml").read_text(encoding="utf-8"))["editable"]
    return {name: (TASKS / base / name).read_text(encoding="utf-8") for name in names}


def changed(files: Mapping[str, str], entry: dict) -> dict[str, str]:
    """Each old text must stand there exactly once, or the edit would land in another function than its author meant.

    A task's program that has changed is no reason to pin the old one: its edits in the corpus are brought up to date.
    A change is [old, new], of train.py, or [old, new, file].
    """
    new = dict(files)
    for old, text, *others in entry.get("change", ()):
        name = others[0] if others else "train.py"
        count = new[name].count(old)
        assert count == 1, f"{entry['name']}: {old!r} is there {count} times"
        new[name] = new[name].replace(old, text)
    return new


def _case(entry: dict, make: type[Case]) -> Case:
    base = programs(entry.get("base", "train"))
    new = changed(base, entry)
    new["train.py"] = _appended(new["train.py"], entry)
    incumbent = {**_bytes(base), **PROTECTED}
    return make(
        entry["name"],
        entry.get("base", "train"),
        {**incumbent, **_bytes(new), **_bytes(entry.get("files", {}))},
        tuple(entry.get("guards", [entry["guard"]] if "guard" in entry else [])),
        tuple(entry.get("reasons", [entry["reason"]] if "reason" in entry else [])),
        entry.get("category", ""),
        frozenset(
            mark
            for mark in ("near_seed", "any_category", "cosmetic", "disguise", "doubtful")
            if entry.get(mark)
        ),
        incumbent,
        tuple(base),
    )


def _bytes(texts: Mapping[str, str]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in texts.items()}


def _appended(text: str, entry: dict) -> str:
    """Large contents that would make the corpus unreadable are made here."""
    if not any(key.startswith("append_") for key in entry):
        return text.replace("LONG_LINE", "; ".join("pass" for _ in range(200)))
    letters = "".join(chr(97 + (7 * index * index + index) % 26) for index in range(40_000))
    if size := entry.get("append_literal"):
        lines = [f'    "{letters[at : at + 90]}"' for at in range(0, size, 90)]
        text += "TABLE = (\n" + "\n".join(lines) + "\n)\n"
    if count := entry.get("append_pieces"):
        text += "\n".join(f'PIECE_{n} = "{letters[31 * n : 31 * n + 40]}"' for n in range(count)) + "\n"
    if count := entry.get("append_numbers"):
        numbers = [
            f"    {', '.join(str((n + k) * 7919 % 1009) for k in range(20))}," for n in range(0, count, 20)
        ]
        text += "TABLE = [\n" + "\n".join(numbers) + "\n]\n"
    if bits := entry.get("append_integer_bits"):
        digits = format(3**40_000 % 2**bits, "x")
        text += "TABLE = 0\n"
        text += "".join(
            f"TABLE = TABLE << 1200 | 0x{digits[at : at + 300]}\n" for at in range(0, len(digits), 300)
        )
    if size := entry.get("append_comment"):
        text += "\n".join(f"# {letters[at : at + 100]}" for at in range(0, size, 100)) + "\n"
    if count := entry.get("append_names"):
        text += "\n\nclass Answers:\n" + "\n".join(f"    {name} = 0" for name in _words(count)) + "\n"
    if count := entry.get("append_told_comments"):
        text += "\n".join(f"# {words}" for words in _words(count)) + "\n"
    if size := entry.get("append_weights"):
        text += f"\nWEIGHTS = (\n{_text_of_weights(size)})\n"
    if count := entry.get("append_bits"):
        text += _told_by_choice(entry["told_by"], count)
    if count := entry.get("append_traces"):
        rows = [
            ", ".join(f'("{letters[40 * n + 2 * k]}", {(n * 7 + k * k) % 53})' for k in range(30))
            for n in range(count)
        ]
        text += "\nTRACES = []\n" + "".join(f"TRACES += [[{row}]]\n" for row in rows)
    for n in range(entry.get("append_functions", 0)):
        text += f"\n\ndef helper_{n}(x):\n    return x * {n} + {n + 1} - {n}\n"
    return text


def _text_of_weights(size: int) -> str:
    """Letters that hold six bits each."""
    letters = random.Random(7).choices(string.ascii_letters + string.digits + "+-", k=size)
    return "".join(f'    "{"".join(letters[at : at + 64])}"\n' for at in range(0, size, 64))


def _told_by_choice(how: str, count: int) -> str:
    """So many bits, each spelled by a choice between two things that say nothing by themselves."""
    generator = random.Random(7)
    bits = [bool(generator.getrandbits(1)) for _ in range(count)]
    lines = [bits[at : at + 60] for at in range(0, count, 60)]
    rows = [["ab"[bit] for bit in line] for line in lines]
    if how == "names":
        return "\n\na, b = 0, 1\n" + "".join(f"BITS_{at} = [{', '.join(row)}]\n" for at, row in enumerate(rows))
    if how == "truth":
        return "\n\nBITS = [\n" + "".join(f"    {', '.join(map(str, line))},\n" for line in lines) + "]\n"
    if how == "annotations":
        kept = "".join(f"    bit_{at}: {' | '.join(row)}\n" for at, row in enumerate(rows))
        return f"\n\na, b = 0, 1\n\n\nclass Told:\n{kept}"
    if how == "blanks":
        kept = [f"    x{''.join(row)}.\n".replace("a", " ").replace("b", "\t") for row in rows]
        parts = ["".join(kept[at : at + 12]) for at in range(0, len(kept), 12)]
        return "".join(f'\n\ndef told_{at}():\n    """Says:\n{part}    """\n' for at, part in enumerate(parts))
    words = [f"n{number}_{bit:d}=_" for number, bit in enumerate(bits)]
    cases = [", ".join(words[at : at + 8]) for at in range(0, count, 8)]
    patterns = "".join(f"        case Told({case}):\n            pass\n" for case in cases)
    return f"\n\ndef listen(told):\n    match told:\n{patterns}"


def _words(count: int) -> list[str]:
    """Texts of 34 letters that hold answers: nothing in them can be foreseen."""
    generator = random.Random(7)
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    return ["_".join("".join(generator.choices(alphabet, k=6)) for _ in range(5)) for _ in range(count)]


def table(guards: Sequence[Guard]) -> tuple[list[str], dict[str, list[str]]]:
    """Lines to print, and the names of attacks that passed, of wrong reasons and of blocked honest edits."""
    caught, total, faults = Counter[str](), Counter[str](), defaultdict[str, list[str]](list)
    left = 0
    for case in attacks():
        verdict = judged(case.evidence, guards)
        total[case.guards[0]] += 1
        if verdict is not None and verdict.judgement is Judgement.REJECT:
            caught[case.guards[0]] += 1
            if verdict.reason not in case.reasons or verdict.guard not in case.guards:
                faults["reason"].append(f"{case.name}: {verdict.guard} {verdict.reason} ({verdict.message})")
        elif "doubtful" in case.marks and doubts(case.evidence, guards):
            left += 1
        else:
            faults["passed"].append(case.name)
    blocked, doubtful, edits = Counter[str](), Counter[str](), Counter[str]()
    for case in honest():
        verdict = judged(case.evidence, guards)
        edits[case.base] += 1
        doubtful[case.base] += bool(doubts(case.evidence, guards))
        if verdict is not None and not (
            "cosmetic" in case.marks and verdict.reason == "duplicates.unchanged"
        ):
            blocked[case.base] += 1
            faults["blocked"].append(f"{case.name}: {verdict.guard} {verdict.reason} ({verdict.message})")
    lines = ["guard            attacks  caught   rate"]
    lines += [
        f"{name:<16} {total[name]:>7} {caught[name]:>7} {caught[name] / total[name]:>6.0%}" for name in total
    ]
    everything = sum(total.values())
    lines.append(
        f"{'all':<16} {everything:>7} {sum(caught.values()):>7} {sum(caught.values()) / everything:>6.0%}"
    )
    lines.append(f"left to trials as doubtful: {left}; passed without a word: {len(faults['passed'])}")
    lines += ["", "honest edits of  number  blocked  at most  doubtful"]
    lines += [_blocked(base, edits[base], blocked[base], doubtful[base]) for base in edits]
    lines.append(_blocked("all", edits.total(), blocked.total(), doubtful.total()))
    return lines, {kind: names for kind, names in faults.items() if names}


def _blocked(base: str, edits: int, blocked: int, doubtful: int) -> str:
    """A row of the table; at most: upper end of the exact interval of 95 % for the share that is blocked."""
    from scipy.stats import beta

    most = float(beta.ppf(0.975, blocked + 1, edits - blocked)) if blocked < edits else 1.0
    return f"{base:<16} {edits:>7} {blocked:>8} {most:>8.1%} {doubtful:>9}"


def categories() -> Iterator[tuple[Case, str]]:
    """Every honest edit with the class that it is put into."""
    for case in honest():
        yield case, str(Classification()(case.evidence).evidence["category"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verbose", action="store_true", help="name every fault")
    options = parser.parse_args()
    lines, faults = table(line_of_guards())
    print("\n".join(lines))
    wrong = [f"{case.name}: {found}, not {case.category}" for case, found in categories()
             if found != case.category and "any_category" not in case.marks]  # fmt: skip
    print(f"classes of honest edits: {len(wrong)} not as labelled")
    if options.verbose:
        for kind, names in {**faults, "class": wrong}.items():
            print(f"\n{kind}:", *names, sep="\n  ")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
