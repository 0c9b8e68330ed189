"""Every command that README and the pages for newcomers print: each is run, or composed where it would take a night."""

import re
import shlex
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from harness.commands import commands
from tests.docs.conftest import ROOT, Type, page

ARCHIVE = ROOT / "tests" / "ledger" / "sessions_of_0_1" / "whole.tar.xz"
NEWCOMERS = (
    "README.md",
    "docs/autoresearch.md",
    "docs/training_script.md",
    "docs/own_agent.md",
    "docs/certificate.md",
)
SECONDS = {  # what takes minutes, or goes on: tests of its own run it; here its help is asked for
    "certify", "ablation", "noise", "redteam", "check-task", "doctor", "adopt", "resume",
    "ui",  # serves until it is interrupted
}  # fmt: skip
ENVIRONMENT = "ANTHROPIC_API_KEY=none OPENAI_API_KEY=none "


def lines(name: str) -> list[str]:
    """Commands in indented and fenced blocks, without their comments."""
    text = (ROOT / name).read_text(encoding="utf-8")
    found = [
        line.strip() for line in text.splitlines() if re.match(r"    (harness|make|python|docker) ?", line)
    ]
    found += page(name.removeprefix("docs/")).commands if name.startswith("docs/") else []
    return list(dict.fromkeys(re.sub(r"\s+#\s.*$", "", line) for line in found))


def what_is_run(line: str) -> str:
    """Of two lines for which this is the same, one is enough."""
    words = shlex.split(line)
    return f"{words[1]} --help" if words[0] == "harness" and words[1] in SECONDS else line


COMMANDS = [
    *{what_is_run(line): (name, line) for name in reversed(NEWCOMERS) for line in lines(name)}.values()
]


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A user's folder with a session called TAG, files that the pages speak of, and a sweep's folder."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (ledger,) = (tmp_path / "unpacked").rglob("ledger.jsonl")
    for tag in ("TAG", "first", "grid", "night"):
        shutil.copytree(ledger.parent, tmp_path / "sessions" / tag)
    shutil.rmtree(tmp_path / "unpacked")
    (tmp_path / "sessions" / "TAG" / "transcripts").mkdir(exist_ok=True)
    (tmp_path / "sessions" / "TAG" / "transcripts" / "0001.jsonl").write_text(
        '{"kind": "text", "text": "WORDS"}\n'
    )
    (tmp_path / "my_program.md").write_text("Do well.\n")
    for task in ("churn", "signals", "autoresearch"):
        shutil.copytree(ROOT / "tasks" / "digits", tmp_path / "tasks" / task)
    (tmp_path / "OLD").write_text("a = 1\n")
    (tmp_path / "NEW").write_text("a = 2\n")
    agent = page("own_agent.md").files
    for file, text in agent.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    return tmp_path


@pytest.mark.parametrize(("name", "line"), COMMANDS, ids=lambda value: value if " " in value else None)
def test_a_command_of_a_page_works(name: str, line: str, lab: Path, type_in: Type) -> None:
    """Sessions and sweeps are composed and checked, everything that takes seconds is done, in a user's folder."""
    words = shlex.split(line)
    if words[0] == "make":
        target = [words[1], *(["-n"] if words[1:] else [])]
        subprocess.run(["make", "-n", *target, *words[2:]], cwd=ROOT, check=True, capture_output=True)
        return
    if words[0] == "docker":
        assert "Dockerfile" in {file.name for file in ROOT.iterdir()}
        return
    if words[0] == "python":
        return  # a file of the page: its own test runs it
    if words[1] in commands():
        _command(words, line, lab, type_in)
    elif "-m" in words:
        assert (
            "nothing is started"
            in type_in(ENVIRONMENT + line.replace(" --dry-run", "") + " --dry-run", lab).stdout
        )
    elif "--help" in words or "--cfg" in words:
        assert type_in(line, lab).stdout
    else:
        assert "_target_" in type_in(f"{ENVIRONMENT}{line} --cfg", lab).stdout


def _command(words: list[str], line: str, lab: Path, type_in: Type) -> None:
    if words[1] in SECONDS:
        assert f"harness {words[1]}" in type_in(f"harness {words[1]} --help", lab).stdout
        return
    if words[1] == "new-task" and (lab / "tasks" / words[2]).exists():
        shutil.rmtree(lab / "tasks" / words[2])
    if words[1] == "replay-night":
        (lab / "autoresearch").mkdir()
        shutil.copy(lab / "sessions" / "TAG" / "results.tsv", lab / "autoresearch" / "results.tsv")
        line = line.replace("~/", "")
    done = type_in(f"{line} || test $? = 1", lab)
    assert "Traceback" not in done.stderr


def test_every_command_is_in_the_readme() -> None:
    """Nobody has to guess what there is."""
    text = (ROOT / "README.md").read_text()
    for name in set(commands()) - {"start", "replay-night"}:
        assert f"    harness {name} " in text or f"    harness {name}\n" in text, name


def test_links_between_pages_lead_somewhere() -> None:
    """Every relative link of README and docs/ names a file that is there, and a heading that is in it."""
    for file in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", file.read_text(encoding="utf-8")):
            path, _, heading = target.partition("#")
            there = (file.parent / path) if path else file
            assert there.exists(), f"{file.name}: {target}"
            if heading:
                headings = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
                slugs = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
                assert heading in slugs, f"{file.name}: {target}"
