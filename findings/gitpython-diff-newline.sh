#!/usr/bin/env bash
# Package: GitPython 3.2.1, and the git of this machine (seen with 2.39.5)
# Guess: what repo.git.diff() returns is what `git diff` prints: written to a file, git apply takes it.
# What happens: a command's output comes back without its last line end, and a patch without it is refused as corrupt.
#   repo.git.diff(strip_newline_in_stdout=False) gives what git printed.
# Why it matters: saved proposals, kept diffs and patches that are handed to a model cannot be applied again; it shows
#   when somebody wants the night's work back.
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

def applies(patch):
    Path("checkout.patch").write_text(patch)
    done = subprocess.run(["git", "apply", "../checkout.patch"], cwd=folder, capture_output=True, text=True)
    return done.returncode == 0, done.stderr.strip()

folder = Path("checkout")
repository = git.Repo.init(folder)
file = folder / "train.py"
file.write_text("rate = 1\nsteps = 2\n")
repository.index.add(["train.py"])
repository.index.commit("first")
file.write_text("rate = 1\nsteps = 3\n")
patches = {
    "git diff": subprocess.check_output(["git", "diff"], cwd=folder, text=True),
    "repo.git.diff()": repository.git.diff(),
    "the same with strip_newline_in_stdout=False": repository.git.diff(strip_newline_in_stdout=False),
}
print("GitPython", git.__version__, "git", ".".join(map(str, git.Git().version_info)))
print("guess: each applies")
seen = []
for name, patch in patches.items():
    file.write_text("rate = 1\nsteps = 2\n")
    seen.append(applies(patch))
    print("seen: ", name, *seen[-1])
if [fits for fits, _ in seen] != [True, False, True]:
    sys.exit("changed")
END
