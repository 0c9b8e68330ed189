"""Interleaving: two configurations take turns, so that a machine that changes meanwhile changes for both.

Blocks of one trial of either, in the order old new | new old | old new ...: what drifts evenly cancels.
"""

from harness.records import Action


def next_in_block(
    old_trials: int, new_trials: int, run_old: Action, run_new: Action, ahead: int = 0
) -> Action:
    """The trial that comes next. ahead: trials that the new side had before the first block.

    Counts that differ by more than a block's one (a disturbed trial was thrown out) are evened up first.
    """
    behind = new_trials - ahead - old_trials
    if behind:
        return run_old if behind > 0 else run_new
    return run_new if old_trials % 2 else run_old


def complete(old_trials: int, new_trials: int, ahead: int = 0) -> bool:
    """Whether the last block is whole."""
    return old_trials > 0 and new_trials - ahead == old_trials
