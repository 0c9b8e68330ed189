#!/usr/bin/env bash
# Package: optuna 4.9.0
# Guess: told that trials failed, TPE avoids where they failed; at worst it does not know, and goes there as often as
#   chance.
# What happens: failed trials are not seen at all, and a region without a seen trial looks promising: where everything
#   above 0.3 fails (70 % of the range) nearly all later proposals lie there. Told as a bad value, almost none do.
# Why it matters: a night whose candidates crash in one part of the space spends itself on crashes. Tell the sampler a
#   worst score.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python install -q --no-compile optuna==4.9.0
venv/bin/python - <<'END'
import sys

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)

def last_hundred(failing, seed):
    """How many of the last 100 of 200 proposals lie where trials fail."""
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    for _ in range(200):
        trial = study.ask()
        x = trial.suggest_float("x", 0, 1)
        if x <= 0.3:
            study.tell(trial, (x - 0.15) ** 2)
        else:
            failing(study, trial)
    return sum(trial.params["x"] > 0.3 for trial in study.trials[-100:])

def as_failed(study, trial):
    study.tell(trial, state=optuna.trial.TrialState.FAIL)

def as_bad(study, trial):
    study.tell(trial, 1000.0)

print("optuna", optuna.__version__)
print("guess: at most 70 of 100 in the failing part")
failed, bad = [[last_hundred(how, seed) for seed in range(3)] for how in (as_failed, as_bad)]
print("seen:  told as failed", failed, "told as a bad value", bad)
if min(failed) < 90 or max(bad) > 20:
    sys.exit("changed")
END
