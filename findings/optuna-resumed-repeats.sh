#!/usr/bin/env bash
# Package: optuna 4.9.0
# Guess: a study in a storage that is loaded in a second process, with the same sampler and seed, goes on: what was
#   tried is known, and the next points are others.
# What happens: the sampler's generator begins anew: while TPE starts up (its first ten trials), and for the random
#   sampler for ever, the second process tries the very points of the first again, to the last digit.
# Why it matters: a search that is stopped and resumed, or shared by workers that all say seed=0, pays for the same
#   trials twice; and "seeded, therefore reproducible" is not so across a resumption. Seed by the number of trials
#   that there are, or keep the sampler with the study.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --no-compile optuna==4.9.0
cat > search.py <<'END'
import sys

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
sampler = {"random": optuna.samplers.RandomSampler, "tpe": optuna.samplers.TPESampler}[sys.argv[1]](seed=1)
study = optuna.create_study(
    storage="sqlite:///studies.db", study_name=sys.argv[1], load_if_exists=True, sampler=sampler
)
study.optimize(lambda trial: trial.suggest_float("rate", 0, 1), n_trials=3)
print([trial.params["rate"] for trial in study.trials])
END
venv/bin/python -c 'import optuna; print("optuna", optuna.__version__)'
echo "guess: six different points"
for name in random tpe; do
  venv/bin/python search.py "$name" > /dev/null
  venv/bin/python search.py "$name" > points
  echo "seen:  $name $(cat points)"
  venv/bin/python -c 'import json; p = json.load(open("points")); assert p[:3] == p[3:] and len(p) == 6, "changed"'
done
