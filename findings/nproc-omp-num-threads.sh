#!/usr/bin/env bash
# Package: nproc of GNU coreutils (nothing is installed; seen with 9.1)
# Guess: nproc says how many processors this process may use, so that a script can share them out; OMP_NUM_THREADS is
#   a matter of libraries that compute.
# What happens: nproc answers with OMP_NUM_THREADS where that is set, however many processors there are; OMP_THREAD_LIMIT
#   bounds it, too. `nproc --all` and `taskset` know nothing of either.
# Why it matters: harnesses set OMP_NUM_THREADS=1 so that trials do not disturb each other; a script that then divides
#   `nproc` cores among them gives all trials one core.
set -euo pipefail
nproc --version | head -n 1
echo "guess: the same number three times"
plain=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)
one=$(env -u OMP_THREAD_LIMIT OMP_NUM_THREADS=1 nproc)
many=$(env -u OMP_THREAD_LIMIT OMP_NUM_THREADS=4096 nproc)
limited=$(OMP_NUM_THREADS=4096 OMP_THREAD_LIMIT=7 nproc)
all=$(OMP_NUM_THREADS=4096 nproc --all)
echo "seen:  unset $plain, 1 $one, 4096 $many, 4096 with a limit of 7 $limited; --all with 4096 $all"
[ "$one" = 1 ] && [ "$many" = 4096 ] && [ "$limited" = 7 ] && [ "$all" != 4096 ] && [ "$plain" != 4096 ] || {
  echo changed; exit 1; }
