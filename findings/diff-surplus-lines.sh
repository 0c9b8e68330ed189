#!/usr/bin/env bash
# Package: unidiff 1.0.1, and the git of this machine (seen with 2.39.5)
# Guess: a hunk with more lines than its header counts is refused ("corrupt patch"), by both, as one with fewer lines
#   is.
# What happens: both take as many lines as were counted and drop the rest without a word; git apply exits with 0.
#   Fewer lines are an error in both.
# Why it matters: models count badly. A diff with one line too many is applied in part, and what is measured is not
#   what was proposed. git apply --recount takes all lines.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --no-compile unidiff==1.0.1
git --version
printf -- '--- a/f\n+++ b/f\n@@ -1 +1,2 @@\n one\n+two\n+three\n' >more.patch
printf -- '--- a/f\n+++ b/f\n@@ -1 +1,3 @@\n one\n+two\n' >fewer.patch
apply() { # patch, options -> the file after it, in one line
  printf 'one\n' >f
  git apply "${@:2}" "$1" 2>/dev/null || { echo refused; return; }
  tr '\n' ' ' <f
}
echo "guess: both are refused"
more=$(apply more.patch) recount=$(apply more.patch --recount) fewer=$(apply fewer.patch)
echo "seen:  git apply, a line too many: $more; with --recount: $recount; too few: $fewer"
[ "$more" = "one two " ] && [ "$recount" = "one two three " ] && [ "$fewer" = refused ] || {
  echo changed
  exit 1
}
venv/bin/python - <<'END'
import sys
from importlib.metadata import version

import unidiff

print("unidiff", version("unidiff"))
added = unidiff.PatchSet(open("more.patch").read())[0].added
try:
    unidiff.PatchSet(open("fewer.patch").read())
    fewer = "taken"
except unidiff.UnidiffParseError:
    fewer = "refused"
print("seen:  unidiff, a line too many:", added, "line added; too few:", fewer)
if (added, fewer) != (1, "refused"):
    sys.exit("changed")
END
