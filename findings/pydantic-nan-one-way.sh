#!/usr/bin/env bash
# Package: pydantic 2.14.4
# Guess: what model_dump_json writes model_validate_json of the same model reads.
# What happens: a float field takes nan; it is written as null, which the same field refuses.
# Why it matters: a row of a log with a nan score is written without a word and cannot be read again: a night is lost
#   on resuming. Say allow_inf_nan=False, or ser_json_inf_nan="constants".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q --no-compile pydantic==2.14.4
venv/bin/python - <<'END'
import sys

import pydantic

class Row(pydantic.BaseModel):
    score: float

print("pydantic", pydantic.VERSION)
print("guess: Row(score=nan) comes back")
text = Row(score=float("nan")).model_dump_json()
print("seen:  written", text)
try:
    print("seen:  read", Row.model_validate_json(text))
    sys.exit("changed")
except pydantic.ValidationError as error:
    print("seen:  not read:", error.errors()[0]["msg"])
if text != '{"score":null}':
    sys.exit("changed")
END
