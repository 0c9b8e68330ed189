#!/usr/bin/env bash
# Package: hydra-core 1.3.8 with omegaconf 2.3.1
# Guess: a value means the same in a YAML file and in an override: x=VALUE for `x: VALUE`.
# What happens: the two have grammars of their own. on, yes: true in a file, text in an override; 010 and 0x10: 8 and
#   16 in a file, text in an override; nan, inf: text in a file, numbers in an override. 12e4567 (a commit) is
#   infinity in both.
# Why it matters: a value moved from the command line into a preset is another value, and a commit or a tag given as
#   an override may be a number. Put it in quotes in both places.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q --no-compile hydra-core==1.3.8 omegaconf==2.3.1
venv/bin/python - <<'END'
import sys
from importlib.metadata import version

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

print("hydra-core", version("hydra-core"), "omegaconf", version("omegaconf"))
print("guess: both columns are equal")
parser, seen = OverridesParser.create(), {}
for word in ("1e3", "null", "on", "yes", "010", "0x10", "nan", "inf", "12e4567"):
    seen[word] = (OmegaConf.create(f"x: {word}").x, parser.parse_override(f"x={word}").value())
    print(f"seen:  {word:8} in a file {seen[word][0]!r:10} in an override {seen[word][1]!r}")
differ = {word for word, (file, override) in seen.items() if repr(file) != repr(override)}
if differ != {"on", "yes", "010", "0x10", "nan", "inf"} or seen["12e4567"] != (float("inf"), float("inf")):
    sys.exit("changed")
END
