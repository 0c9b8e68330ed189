#!/usr/bin/env bash
# Package: hydra-core 1.3.8 (its own launcher)
# Guess: a job of a multirun that raises, or that calls sys.exit, ends itself; the others run, and status 1 shows at
#   the end.
# What happens: so it is after an exception. After sys.exit in job 2 of 3 the third never runs, and with sys.exit(0)
#   the whole multirun ends with status 0.
# Why it matters: a main that returns by sys.exit(main()) makes a sweep of one: nothing says that the others are
#   missing.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q --no-compile hydra-core==1.3.8 omegaconf==2.3.1
cat >app.py <<'END'
import sys

import hydra


@hydra.main(version_base=None, config_path=None)
def main(config):
    with open(config.log, "a") as log:
        log.write(f"{config.job} ")
    if config.job == 2 and config.how == "raise":
        raise RuntimeError("job 2")
    if config.job == 2:
        sys.exit(config.how)


main()
END
venv/bin/python -c 'from importlib.metadata import version; print("hydra-core", version("hydra-core"))'
echo "guess: jobs 1 2 3 status 1 each time"
ran() { # how -> "jobs|status"
  local status=0
  : >"log-$1"
  venv/bin/python app.py -m +job=1,2,3 "+how=$1" "+log=$PWD/log-$1" "hydra.sweep.dir=$PWD/out" \
    >/dev/null 2>&1 || status=$?
  echo "$(cat "log-$1")status $status"
}
seen="$(ran raise), $(ran 0), $(ran 1)"
echo "seen:  jobs after raise, sys.exit(0), sys.exit(1): $seen"
[ "$seen" = "1 2 3 status 1, 1 2 status 0, 1 2 status 1" ] || {
  echo changed
  exit 1
}
