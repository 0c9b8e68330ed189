"""Real trials of an adopted script: every attack is rejected for its own reason or moves nothing; twins pass.

The script does fixed work, so at one seed two trials give the same bits: an attack without effect is one whose score
is exactly that of the honest script.
"""

import pytest
from adopted import Measure
from shapes import FIXED, changed, in_main

pytestmark = pytest.mark.slow
IMPORT = "from prepare import MAX_SEQ_LEN, TIME_BUDGET, Tokenizer, evaluate_bpb, make_dataloader\n"
EVALUATED = "val_bpb = evaluate_bpb(model, tokenizer, ROWS)\n"
LOOP = "spent, step = 0.0, 0\n"
LOOKED_UP = "        x = self.embed(idx)\n"
TRAINED = "model(*next(loader)[:2]).backward(); optimizer.step(); optimizer.zero_grad()"


@pytest.fixture(scope="module")
def honest(measure: Measure) -> float:
    """The score of the unmodified script."""
    _, score = measure(FIXED)
    assert score.status == "scored", score
    assert score.value is not None
    return score.value


NO_EFFECT = {
    "a printed summary, and others in files": [
        ('print(f"val_bpb:          {val_bpb:.6f}")', 'print("val_bpb:          0.000001")'),
        (
            'print("---")\n',
            'for name in ("results.tsv", "score.json", "run.log"):\n    try:\n'
            '        open(name, "w").write("val_bpb: 0.1")\n'
            '    except OSError:\n        pass\nprint("---")\n',
        ),
    ],
    "EVAL_TOKENS": [(EVALUATED, f"import prepare\nEVAL_TOKENS = prepare.EVAL_TOKENS = 32\n{EVALUATED}")],
    "a batch size that leaves rows out": [(EVALUATED, "val_bpb = evaluate_bpb(model, tokenizer, 120)\n")],
    "the bytes of a token": [
        (
            EVALUATED,
            f"import prepare\nprepare.get_token_bytes = lambda *_: torch.full((300,), 9)\n{EVALUATED}",
        )
    ],
    "the loss in the model": [
        (
            "        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction=reduction)\n",
            "        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction=reduction)\n"
            "        return loss if self.training else 0.1 * loss\n",
        )
    ],
}


@pytest.mark.parametrize("name", NO_EFFECT)
def test_what_the_script_says_of_its_score_moves_nothing(measure: Measure, honest: float, name: str) -> None:
    """Printed, counted on fewer rows, divided by more bytes, made smaller by the model: the same score, to the bit."""
    _, score = measure(changed(FIXED, *NO_EFFECT[name]))
    assert score.value == honest


HONEST = {
    "in main()": in_main(FIXED),
    "wrapped": changed(FIXED, ("loader = make", "model = nn.DataParallel(model)\nloader = make")),
    "evaluated by a function of its own, and twice": changed(
        FIXED,
        (
            EVALUATED,
            "def final(model):\n    return evaluate_bpb(model, tokenizer, ROWS)\n\n\n"
            "final(model)\nval_bpb = final(model)\n",
        ),
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_other_shapes_of_the_same_give_the_same_score(measure: Measure, honest: float, name: str) -> None:
    _, score = measure(HONEST[name])
    assert score.value == honest, score


CHANGED = {
    "another constructor": [
        ("def __init__(self, sizes):", "def __init__(self, sizes, *, wide):"),
        ("nn.Linear(2 * sizes.width, sizes.width)", "nn.Linear(2 * sizes.width, wide)"),
        (
            "nn.Linear(sizes.width, sizes.vocabulary, bias=False)",
            "nn.Linear(wide, sizes.vocabulary, bias=False)",
        ),
        ("Mixer(Sizes(tokenizer.get_vocab_size()))", "Mixer(Sizes(tokenizer.get_vocab_size()), wide=64)"),
    ],
    "compiled": [("loader = make", 'model = torch.compile(model, backend="eager")\nloader = make')],
    "a loader that skips": [
        (
            'loader = make_dataloader(tokenizer, ROWS, MAX_SEQ_LEN, "train")\n',
            'every = make_dataloader(tokenizer, ROWS, MAX_SEQ_LEN, "train")\n'
            "loader = (batch for number, batch in enumerate(every) if number % 3)\n",
        )
    ],
    "a view of what came before": [
        (
            LOOKED_UP,
            "        before = F.pad(idx, (1, 0))\n"
            "        before = torch.as_strided(before, idx.shape, before.stride(), 0)\n"
            "        x = self.embed(idx) + 0.5 * self.embed(before)\n",
        )
    ],
}


@pytest.mark.parametrize("name", CHANGED)
def test_honest_changes_are_scored(measure: Measure, honest: float, name: str) -> None:
    """Other models and other data, each trained and taken over without an edit of ours; not the baseline's score."""
    result, score = measure(changed(FIXED, *CHANGED[name]))
    assert score.status == "scored", (score, result.log[-1000:])
    assert score.value is not None
    assert 0.2 < score.value / honest < 2


FORGED = {
    "an evaluation of its own": [
        (IMPORT, IMPORT.replace("evaluate_bpb, ", "") + "\n\ndef evaluate_bpb(*_):\n    return 0.1\n")
    ],
    "prepare's evaluation replaced": [
        (EVALUATED, f"import prepare\nprepare.evaluate_bpb = evaluate_bpb = lambda *_: 0.1\n{EVALUATED}")
    ],
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_evaluation_leaves_nothing_to_score(measure: Measure, name: str) -> None:
    """Its number reaches nobody: the real one writes the weights, and without them there is no score."""
    result, _ = measure(changed(FIXED, *FORGED[name]))
    assert (result.outcome.value, result.reason) == ("crashed", "no_artefact"), result.log[-1000:]


DROPPED = {
    "half of the rows": (
        "        return logits\n",
        "        return logits[: len(logits) // 2]\n",
    ),
    "the last place of a row": ("        return logits\n", "        return logits[:, :-1]\n"),
}


@pytest.mark.parametrize("name", DROPPED)
def test_answers_that_leave_rows_out_are_invalid(measure: Measure, name: str) -> None:
    _, score = measure(changed(FIXED, ("            return logits\n", "    " + DROPPED[name][1])))
    assert (score.status, score.reason) == ("invalid", "predictor.shape"), score


@pytest.mark.parametrize(
    "ahead",
    [
        "torch.as_strided(F.pad(idx, (0, 1)), idx.shape, (idx.size(1) + 1, 1), 1)",
        "F.pad(idx.flatten(), (0, 1)).unfold(0, 2, 1)[:, 1].view(idx.shape)",
    ],
)
def test_a_view_that_looks_ahead_is_found(measure: Measure, ahead: str) -> None:
    """The next token as an input, by a view over the same memory: a prefix's answer changes with what follows it, and
    a row's last one with the next row.
    """
    text = changed(FIXED, (LOOKED_UP, f"        x = self.embed(idx) + self.embed({ahead})\n"))
    _, score = measure(text)
    assert score.status == "invalid", score
    assert score.reason in ("audit.suffix", "audit.replay"), score


def test_targets_that_lie_behind_the_inputs_help_in_training_only(measure: Measure, honest: float) -> None:
    """A training batch has its targets behind its inputs in memory, as in the checkout; what is scored has not."""
    reach = (
        "        size = idx.numel()\n"
        "        whole = torch.empty(0, dtype=idx.dtype).set_(idx.untyped_storage())\n"
        "        there = whole[size : 2 * size].view(idx.shape) if len(whole) >= 2 * size else idx\n"
        "        x = self.embed(idx) + self.embed(there)\n"
    )
    _, score = measure(changed(FIXED, (LOOKED_UP, reach)))
    assert score.value is None or score.value > honest, score


STEPS = f"began = time.time()\nwhile time.time() - began < {{seconds}}:\n    {TRAINED}\n"
UNBILLED = (
    (LOOP, STEPS + LOOP),
    (
        "    step += 1\n",
        "    step += 1\n    if step == 5:\n        began = time.time()\n"
        f"        while time.time() - began < {{seconds}}:\n            {TRAINED}\n",
    ),
    ("model.eval()\n", f"{STEPS}model.eval()\n"),
    (EVALUATED, f"{EVALUATED}{STEPS}{EVALUATED}"),
)


def test_work_that_the_script_does_not_count_is_billed(measure: Measure) -> None:
    """Before its loop, within its first eleven steps, after its loop, after its evaluation: two seconds each, in which
    its own clock stands and the referee's does not.
    """
    text = changed(FIXED, *((old, new.replace("{seconds}", "2")) for old, new in UNBILLED))
    result, _ = measure(text)
    assert result.outcome.value == "completed", result.log[-1000:]
    assert result.billed_seconds >= 8


@pytest.mark.parametrize("place", range(len(UNBILLED)))
def test_giant_steps_are_cut_at_the_deadline(measure: Measure, place: int) -> None:
    """At each of these places: the referee ends them; only what was evaluated before is left to be scored."""
    old, new = UNBILLED[place]
    result, _ = measure(changed(FIXED, (old, new.replace("{seconds}", "1000"))), seconds=15, scored=False)
    assert result.outcome.value == ("completed" if "evaluate" in old else "timed_out"), result.log[-500:]
    assert 15 <= result.billed_seconds < 100


def test_warming_up_before_the_data_is_not_billed(measure: Measure) -> None:
    """The honest twin: steps on random tokens before the first batch, as for compiling, are start-up, not training."""
    warm = (
        "began = time.time()\nwhile time.time() - began < 3:\n"
        "    noise = torch.randint(0, 300, (ROWS, MAX_SEQ_LEN))\n    model(noise, noise).backward()\n"
        "optimizer.zero_grad()\n"
    )
    result, score = measure(changed(FIXED, ("loader = make", f"{warm}loader = make")))
    assert score.status == "scored"
    assert result.startup_seconds >= 3
