#!/usr/bin/env bash
# Package: GitPython 3.2.1, and the git of this machine (seen with 2.39.5)
# Guess: repo.index.add([path]) does what `git add path` does.
# What happens: it writes the bytes as they are, past .gitattributes (line ends, filters), so that the blob is another
#   one and git status shows the file as modified at once; and it adds what .gitignore excludes, which git add
#   refuses.
# Why it matters: a clean tree is dirty after a commit, large outputs get into history, and two ways to commit give
#   two hashes for one file.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --no-compile GitPython==3.2.1
venv/bin/python - <<'END'
import subprocess
import sys
from pathlib import Path

import git

def blob(folder, name):
    lines = subprocess.check_output(["git", "ls-files", "-s", name], cwd=folder, text=True).split()
    return lines[1] if lines else None

def checkout(name):
    folder = Path(name)
    repository = git.Repo.init(folder)
    (folder / ".gitattributes").write_text("*.txt text eol=lf\n")
    (folder / ".gitignore").write_text("weights\n")
    (folder / "a.txt").write_bytes(b"one\r\n")
    (folder / "weights").write_text("large")
    return folder, repository

print("GitPython", git.__version__, "git", ".".join(map(str, git.Git().version_info)))
print("guess: the same blobs, and the ignored file is refused")
folder, _ = checkout("by-git")
for name in ("a.txt", "weights"):
    subprocess.run(["git", "add", name], cwd=folder, capture_output=True)
by_git = [blob(folder, name) for name in ("a.txt", "weights")]
folder, repository = checkout("by-gitpython")
repository.index.add(["a.txt", "weights"])
by_gitpython = [blob(folder, name) for name in ("a.txt", "weights")]
print("seen:  git add", by_git)
print("seen:  index.add", by_gitpython)
if by_git[0] == by_gitpython[0] or by_git[1] is not None or by_gitpython[1] is None:
    sys.exit("changed")
END
