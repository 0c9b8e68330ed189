"""What an installed wheel needs is in it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_wheel_works_from_any_folder(tmp_path: Path) -> None:
    """Built, unpacked elsewhere and called from a third place: the same choices as in the checkout, every module."""
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    modules = {
        file.relative_to(ROOT) for zone in ("harness", "guards") for file in (ROOT / zone).rglob("*.py")
    }
    assert not {module for module in modules if not (site / module).exists()}
    helps = []
    for path in (site, ROOT):
        elsewhere = tmp_path / f"from-{path.name}"
        elsewhere.mkdir()
        environment = {**os.environ, "PYTHONPATH": str(path)}
        call = [sys.executable, "-m", "harness", "--help"]
        done = subprocess.run(
            call, cwd=elsewhere, env=environment, capture_output=True, text=True, check=True
        )
        helps.append(done.stdout)
        where = [sys.executable, "-c", "import harness; print(harness.__file__)"]
        found = subprocess.run(
            where, cwd=elsewhere, env=environment, capture_output=True, text=True, check=True
        )
        assert Path(found.stdout.strip()).is_relative_to(path)
    assert helps[0] == helps[1]
