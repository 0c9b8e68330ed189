"""Odd patches through `git apply` and through ours: what git refuses we refuse, what it applies we apply alike."""

import os
import subprocess
from pathlib import Path

import pytest

from harness.agents.api.patches import PatchError, apply, read_patch

Tree = dict[str, bytes]
TREE: Tree = {
    "train.py": b"".join(b"line %d\n" % number for number in range(1, 31)),
    "sub/x.py": b"a\nb\nc\n",
    "sp ace.py": b"1\n2\n3\n",
    "empty.py": b"",
    "same.py": b"x\n" * 6,
}
LINE_4 = "@@ -3,3 +3,3 @@\n line 3\n-line 4\n+y\n line 5\n"
MIDDLE = "@@ -1,3 +1,3 @@\n 1\n-2\n+II\n 3\n"


def plain(name: str, hunks: str) -> str:
    return f"--- a/{name}\n+++ b/{name}\n{hunks}"


def of_git(old: str, hunks: str = "", new: str = "", *words: str) -> str:
    return "".join([f"diff --git a/{old} b/{new or old}\n", *(f"{word}\n" for word in words), hunks])


def made(name: str, *lines: str, mode: str = "100644") -> str:
    hunk = f"--- /dev/null\n+++ b/{name}\n@@ -0,0 +1,{len(lines)} @@\n" + "".join(
        f"+{one}\n" for one in lines
    )
    return of_git(name, hunk, "", f"new file mode {mode}")


def renamed(old: str, new: str, hunks: str = "") -> str:
    text = f"--- a/{old}\n+++ b/{new}\n{hunks}" if hunks else ""
    return of_git(
        old, text, new, f"similarity index {60 if hunks else 100}%", f"rename from {old}", f"rename to {new}"
    )


GONE = of_git(
    "sub/x.py", "--- a/sub/x.py\n+++ /dev/null\n@@ -1,3 +0,0 @@\n-a\n-b\n-c\n", "", "deleted file mode 100644"
)
SUB = "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"
AGAIN = LINE_4.replace("line 4", "y").replace("+y", "+z")
CHANGED = of_git("train.py", plain("train.py", LINE_4))
OCTAL = made("n.py", "z").replace("a/n.py", '"a/\\303\\244.py"').replace("b/n.py", '"b/\\303\\244.py"')
CASES = {
    "a file in two parts": plain("train.py", LINE_4) + plain("train.py", AGAIN),
    "two parts of which the second was written for the first file": plain("train.py", LINE_4) * 2,
    "made, then changed": made("n.py", "a", "b") + of_git("n.py", plain("n.py", "@@ -1,2 +1,2 @@\n-a\n+A\n b\n")),
    "deleted, then made": GONE + made("sub/x.py", "z"),
    "deleted, then changed": GONE + plain("sub/x.py", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"),
    "a link in a file's place": GONE + made("sub/x.py", "/etc", mode="120000") + "\\ No newline at end of file\n",
    "renamed": renamed("sub/x.py", "y.py"),
    "renamed and changed": renamed("sub/x.py", "y.py", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"),
    "renamed onto another": renamed("sub/x.py", "train.py"),
    "names exchanged": renamed("sub/x.py", "same.py") + renamed("same.py", "sub/x.py"),
    "copied": of_git("sub/x.py", "", "y.py", "similarity index 100%", "copy from sub/x.py", "copy to y.py"),
    "another mode": of_git("train.py", "", "", "old mode 100644", "new mode 100755"),
    "an empty file made": of_git("e.py", "", "", "new file mode 100644", "index 0000000..e69de29"),
    "an empty file deleted": of_git("empty.py", "", "", "deleted file mode 100644", "index e69de29..0000000"),
    "a name in quotes": f'--- "a/sp ace.py"\n+++ "b/sp ace.py"\n{MIDDLE}',
    "a name of octal numbers": OCTAL,
    "a name with a blank": of_git("sp ace.py", f"--- a/sp ace.py\t\n+++ b/sp ace.py\t\n{MIDDLE}"),
    "a folder above": made("../n.py", "z"),
    "git's own folder": made(".git/config", "z"),
    "a file for a folder": made("sub", "z"),
    "a file below a file": made("train.py/n.py", "z"),
    "what is there already": made("train.py", "z"),
    "a part deleted": GONE.replace("-1,3", "-1,2").replace("-c\n", ""),
    "blank lines behind": plain("train.py", "@@ -1,3 +1,3 @@\n-line 1\n+L\n line 2\n line 3\n\n\n"),
    "blank lines between": plain("train.py", f"{LINE_4}\n\n") + plain("sub/x.py", f"{SUB}\n"),
    "nothing but context": plain("train.py", "@@ -3,3 +3,3 @@\n line 3\n line 4\n line 5\n"),
    "hunks in the wrong order": plain("train.py", "@@ -20,3 +20,3 @@\n line 20\n-line 21\n+x\n line 22\n" + LINE_4),
    "hunks that overlap": plain("train.py", LINE_4 + "@@ -5,3 +5,3 @@\n line 5\n-line 6\n+z\n line 7\n"),
    "equal lines": plain("same.py", "@@ -3,3 +3,3 @@\n x\n-x\n+y\n x\n"),
    "other separators in a line": plain("train.py", LINE_4.replace("+y", "+y\x0cz\x0b\x1c\u2028q\rr")),
    "a signature": f"Subject: [PATCH] x\n\n---\n train.py | 2 +-\n\n{CHANGED}-- \n2.40\n",
}  # fmt: skip


def by_git(patch: bytes, folder: Path) -> dict[str, bytes | str] | None:
    """The tree after `git apply`, links by where they point; None where it refuses."""
    for name, content in TREE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    done = subprocess.run(
        ["git", "apply", "-"], cwd=folder, input=patch, capture_output=True, env=environment, check=False
    )
    if done.returncode:
        return None
    files = (file for file in folder.rglob("*") if file.is_symlink() or file.is_file())
    return {
        file.relative_to(folder).as_posix(): str(file.readlink()) if file.is_symlink() else file.read_bytes()
        for file in files
    }


def by_us(patch: bytes) -> dict[str, bytes | str] | None:
    try:
        edit = apply(read_patch(patch), TREE)
    except PatchError:
        return None
    kept = {name: content for name, content in TREE.items() if name not in edit.deleted}
    return {**kept, **edit.files, **edit.links}


@pytest.mark.parametrize("name", CASES)
def test_an_odd_patch_is_what_git_makes_of_it(name: str, tmp_path: Path) -> None:
    """Nothing is dropped in silence, nothing is applied that git would not."""
    patch = CASES[name].encode()
    folder = tmp_path / "tree"
    folder.mkdir()
    assert by_us(patch) == by_git(patch, folder)


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        (made("s", "Subproject commit 1", mode="160000"), "submodules"),
        (made("n.py", "a") * 2, "already there"),
    ],
)
def test_what_git_would_take_and_we_do_not(patch: str, words: str) -> None:
    """A submodule, of which git would make a folder; a file that is made twice, of which git keeps the second."""
    with pytest.raises(PatchError, match=words) as refused:
        apply(read_patch(patch.encode()), TREE)
    assert len(str(refused.value).splitlines()) == 1


def test_a_flood_of_files_is_no_patch() -> None:
    """A file is a call of git: a thousand are allowed, and more are refused before anything is parsed."""
    one = "diff --git a/f{0} b/f{0}\n--- /dev/null\n+++ b/f{0}\n@@ -0,0 +1 @@\n+x\n"
    assert len(read_patch("".join(map(one.format, range(1000))).encode()).files) == 1000
    with pytest.raises(PatchError, match="1001 files"):
        read_patch("".join(map(one.format, range(1001))).encode())
