#!/usr/bin/env bash
# Package: git (nothing is installed; seen with 2.39.5)
# Guess: git apply in a subfolder of a repository takes paths from there, like patch; or a path that is not there is
#   an error.
# What happens: with a line `diff --git` in the patch, paths are taken from the root of the repository, and all that
#   lie outside of the subfolder are left out in silence: nothing is changed and the status is 0. Without that line,
#   or outside of any repository, the same patch is applied.
# Why it matters: a scratch folder inside a checkout, and every patch "applies" without effect: A/A trials that nobody
#   asked for. Compare the files afterwards.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
git --version
printf -- '--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-lr = 1\n+lr = 2\n' >plain.patch
{ echo 'diff --git a/train.py b/train.py' && cat plain.patch; } >git.patch
attempt() { # folder, patch -> content, status
  local status=0
  mkdir -p "$1"
  echo "lr = 1" >"$1/train.py"
  (cd "$1" && git apply "$work/$2" 2>&1) || status=$?
  echo "$(cat "$1/train.py"), status $status"
}
git init -q repository
echo "guess: lr = 2 each time, or an error"
alone=$(GIT_CEILING_DIRECTORIES="$work" attempt "$work/alone" git.patch)
inside=$(attempt "$work/repository/scratch" git.patch)
plain=$(attempt "$work/repository/scratch" plain.patch)
echo "seen:  outside of a repository: $alone; in a subfolder of one: $inside; there without diff --git: $plain"
[ "$alone" = "lr = 2, status 0" ] && [ "$inside" = "lr = 1, status 0" ] && [ "$plain" = "$alone" ] || {
  echo changed
  exit 1
}
