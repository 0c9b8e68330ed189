"""README's picture is a real session's, drawn by the command that README names."""

import lzma
import re
from pathlib import Path

import pytest

from harness.commands.report import main
from harness.ledger.session_record import load
from harness.report.headline import headline

ROOT = Path(__file__).resolve().parents[2]


def test_the_picture_is_what_the_command_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bright and dark, byte for byte from the committed ledger; what README says instead of it is its headline."""
    folder = tmp_path / "night"
    folder.mkdir()
    packed = ROOT / "tests" / "report" / "night" / "ledger.jsonl.xz"
    (folder / "ledger.jsonl").write_bytes(lzma.decompress(packed.read_bytes()))
    assert main([str(folder), "--png", "--out", str(tmp_path / "night.png")]) == 0
    assert "night-dark.svg" in capsys.readouterr().out
    for name in ("night.svg", "night-dark.svg"):
        assert (tmp_path / name).read_text() == (ROOT / "docs" / name).read_text(), (
            f"docs/{name}: draw it anew from {packed.relative_to(ROOT)}"
        )
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r'srcset="([^"]+)"|src="([^"]+)"', readme) == [
        ("docs/night-dark.svg", ""),
        ("", "docs/night.svg"),
    ]
    assert f'alt="{headline(load(folder))}"' in readme
