"""Patches: exact bytes, found again after other edits, refused when the context is not there."""

import difflib
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.agents.api.patches import PatchError, apply, read_patch

LINES = st.lists(st.text(alphabet="ab \t\r\x0c\u2028é", max_size=5), max_size=12)
TREE = {"train.py": b"one\ntwo\nthree\nfour\nfive\n"}


def patch_of(body: str, words: str = "A word.\n") -> bytes:
    return f"{words}diff --git a/train.py b/train.py\n--- a/train.py\n+++ b/train.py\n{body}".encode()


def changed(body: str, tree: dict[str, bytes] | None = None) -> bytes:
    return apply(read_patch(patch_of(body)), TREE if tree is None else tree).files["train.py"]


@given(old=LINES, new=LINES, ends=st.tuples(st.booleans(), st.booleans()))
def test_gives_the_exact_bytes_of_any_edit(old: list[str], new: list[str], ends: tuple[bool, bool]) -> None:
    """A unified diff of two texts turns the one into the other, whatever characters and line ends they have."""
    before, after = ("".join(f"{line}\n" for line in lines) for lines in (old, new))
    before, after = (
        text.removesuffix("\n") if cut else text for text, cut in zip((before, after), ends, strict=True)
    )
    split = [text.split("\n") for text in (before, after)]
    lines = [[f"{line}\n" for line in part[:-1]] + ([part[-1]] if part[-1] else []) for part in split]
    marked = (
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        for line in difflib.unified_diff(*lines, "a/train.py", "b/train.py")
    )
    text = "".join(marked)
    if text:
        patch = read_patch(b"Why.\n" + text.encode())
        assert apply(patch, {"train.py": before.encode()}).files == {"train.py": after.encode()}


def test_a_hunk_is_found_where_earlier_edits_moved_it() -> None:
    """Lines that were added above do not matter."""
    body = "@@ -3,3 +3,3 @@\n three\n-four\n+FOUR\n five\n"
    assert changed(body, {"train.py": b"zero\n" * 9 + TREE["train.py"]}).endswith(b"three\nFOUR\nfive\n")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("@@ -3,3 +3,3 @@\n three\n-4\n+FOUR\n five\n", "hunk 1 does not apply, its context is not there"),
        ("@@ -3,2 +3,2 @@\n three\n-four\n", "malformed patch"),
        ("@@ -3,3 +3,3 @@\n three\n-four\n+FOUR\n five\n+lost\n", "line 10 belongs to no hunk"),
        ("@@ -3,3 +3,3 @@\n three\n-four\n+FOUR\n+lost\n five\n", "line 10 is more than"),
        ("@@ -3,3 +3,3 @@\r\n three\r\n-four\r\n+FOUR\r\n five\r\n", "CRLF line ends"),
        ("@@ -3,1 +3,1 @@\n-three\n+THREE\n", "give it more lines of context"),
        ("", "there is no diff in the patch"),
    ],
)
def test_what_does_not_apply_says_so(body: str, message: str) -> None:
    """No fuzz: the context is there byte for byte or the patch is refused, in one line."""
    with pytest.raises(PatchError, match=message) as caught:
        changed(body)
    assert "\n" not in str(caught.value)


def test_links_new_and_deleted_files_are_told_apart() -> None:
    """A symbolic link is reported as one and never as a file."""
    text = b"""Three things.
diff --git a/way b/way
new file mode 120000
--- /dev/null
+++ b/way
@@ -0,0 +1 @@
+/etc/passwd
\\ No newline at end of file
diff --git a/new.py b/new.py
new file mode 100644
--- /dev/null
+++ b/new.py
@@ -0,0 +1,2 @@
+a = 1
+b = 2
diff --git a/train.py b/train.py
deleted file mode 100644
--- a/train.py
+++ /dev/null
@@ -1,5 +0,0 @@
-one
-two
-three
-four
-five
"""
    edit = apply(read_patch(text), TREE)
    assert (edit.files, edit.deleted) == ({"new.py": b"a = 1\nb = 2\n"}, ("train.py",))
    assert edit.links == {"way": "/etc/passwd"}


def test_binary_patches_and_unknown_files_are_refused() -> None:
    """Only text edits of files that exist, or of new ones."""
    with pytest.raises(PatchError, match="binary"):
        apply(read_patch(b"diff --git a/x b/x\nBinary files a/x and b/x differ\n"), TREE)
    with pytest.raises(PatchError, match="there is no such file"):
        apply(read_patch(b"--- a/other.py\n+++ b/other.py\n@@ -1 +1 @@\n-a\n+b\n"), TREE)


def test_words_of_a_mailed_patch() -> None:
    """`git format-patch` output works: the subject is the rationale, the diffstat is not part of it."""
    words = (
        "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: A <a@b>\n"
        "Date: Mon, 1 Jan 2024\nSubject: [PATCH 1/2] Warm up slowly\n\nIt diverges early.\n"
        "Hypothesis: lower loss at the end.\n---\n train.py | 2 +-\n 1 file changed\n\n"
    )
    patch = read_patch(patch_of("@@ -1,2 +1,2 @@\n-one\n+uno\n two\n", words))
    assert patch.rationale == "Warm up slowly\n\nIt diverges early."
    assert patch.hypothesis == "lower loss at the end."
    assert apply(patch, TREE).files["train.py"].startswith(b"uno\n")


FEW = st.lists(st.sampled_from(["a", "b", "c", "a\r", ""]), max_size=9)


@st.composite
def damaged_patches(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A file, and a patch that was made for another one, or was damaged on its way."""
    base, new, now = draw(FEW), draw(FEW), draw(FEW)
    lines = list(
        difflib.unified_diff(
            [f"{line}\n" for line in base],
            [f"{line}\n" for line in new],
            "a/train.py",
            "b/train.py",
            n=draw(st.integers(0, 3)),
        )
    )
    damage = draw(st.sampled_from(["none", "none", "drop", "double", "shift"]))
    if damage != "none" and len(lines) > 3:
        at = draw(st.integers(2, len(lines) - 1))
        if damage == "shift":
            lines = [line.replace("@@ -1", "@@ -2") for line in lines]
        else:
            lines[at : at + 1] = [] if damage == "drop" else [lines[at]] * 2
    text = "".join(lines).encode()
    file = draw(st.sampled_from([base, now, [*now[:2], *base], [*base, *now[:2]]]))
    return "".join(f"{line}\n" for line in file).encode(), text


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=damaged_patches())
def test_the_same_rules_as_git_apply(case: tuple[bytes, bytes], tmp_path: Path) -> None:
    """What git refuses we refuse; what it applies we apply to the same bytes. In one thing we are stricter: a line that
    no hunk announces is refused, where git drops it."""
    before, text = case
    if not text:
        return
    (tmp_path / "train.py").write_bytes(before)
    (tmp_path / "a.patch").write_bytes(text)
    command = ["git", "apply", "--whitespace=nowarn", "a.patch"]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    try:
        ours: bytes | None = apply(read_patch(text), {"train.py": before}).files["train.py"]
        words = ""
    except PatchError as error:
        ours, words = None, str(error)
    if done.returncode:
        assert ours is None, (done.stderr, ours)
    elif ours is None:
        assert "belongs to no hunk" in words, words
    else:
        assert ours == (tmp_path / "train.py").read_bytes()


BODY = "@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
EPOCH = "\t1970-01-01 01:00:00.000000000 +0100"
HEADERS = {  # as `diff -u` writes them, without git's own line
    "one name": "--- a/train.py\n+++ b/train.py\n",
    "no folder": "--- train.py\n+++ train.py\n",
    "a backup's name": "--- a/train.py\n+++ b/train.py.new\n",
    "the original's name": "--- a/train.py.orig\n+++ b/train.py\n",
    "the second name counts": "--- a/other.py\n+++ b/train.py\n",
    "a second name that is not there": "--- a/train.py\n+++ b/missing.py\n",
    "with times": "--- a/train.py\t2026-01-02 03:04:05.000000000 +0100\n+++ b/train.py\t2026-01-02 03:04:06 +0100\n",
    "no line end of Unix": "--- a/train.py\r\n+++ b/train.py\r\n",
    "with git's line": "diff --git a/train.py b/other.py\n--- a/train.py\n+++ b/other.py\n",
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_of_plain_diffs_mean_what_they_mean_to_git(name: str, tmp_path: Path) -> None:
    """Which file is changed, whatever the two names are; a rename only where git's own header says so."""
    before = {"train.py": b"one\ntwo\n"}
    for path, content in before.items():
        (tmp_path / path).write_bytes(content)
    text = (HEADERS[name] + BODY).encode()
    (tmp_path / "a.patch").write_bytes(text)
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    done = subprocess.run(
        ["git", "apply", "a.patch"], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    if done.returncode:
        with pytest.raises(PatchError):
            apply(read_patch(text), before)
        return
    edit = apply(read_patch(text), before)
    left = {path: content for path, content in before.items() if path not in edit.deleted}
    theirs = {file.name: file.read_bytes() for file in tmp_path.glob("*.py")}
    assert {**left, **edit.files} == theirs


def test_a_time_of_zero_is_no_file() -> None:
    """`diff -N` writes new and deleted files so, in whatever zone."""
    new = f"--- old/new.py{EPOCH}\n+++ new/new.py\t2026-01-02 03:04:05 +0100\n@@ -0,0 +1 @@\n+x\n"
    assert apply(read_patch(new.encode()), TREE).files == {"new.py": b"x\n"}
    gone = f"--- old/a.py\t2026-01-02 03:04:05 +0100\n+++ new/a.py{EPOCH}\n@@ -1 +0,0 @@\n-x\n"
    assert apply(read_patch(gone.encode()), {"a.py": b"x\n"}).deleted == ("a.py",)
