"""Predictors that use what they may not, each beside an honest one of the same shape.

Attack group C: non-causal architectures, hidden looks at the next tokens, memory between batches and rows, and
attempts to notice or to outlive an audit.
"""

import dataclasses

import pytest
from scoring_bench import FAST, EvaluatorBench, bench, local_referee, model, source

__all__ = ["bench", "local_referee", "model"]

# Every body is what `load_predictor` does after `model` was loaded. `AHEAD` marks the tokens that are looked up: the
# next ones in the attack, the current ones in the twin, which may well be used.
BOOST = """
def boosted(logits, tokens, where):
    return logits + 6.0 * F.one_hot(tokens, logits.shape[-1]) * where[..., None]

def ahead(tokens, by=1):
    return torch.cat([tokens[:, by:], tokens[:, :by]], 1) if LEAK else tokens
"""

PEEKS = {
    "everywhere": """
def predict(tokens):
    return boosted(model(tokens), ahead(tokens), torch.ones(tokens.shape))
return predict
""",
    "two_tokens_ahead": """
def predict(tokens):
    return boosted(model(tokens), ahead(tokens, 2), 0.3 * torch.ones(tokens.shape))
return predict
""",
    "a_little_everywhere": """
def predict(tokens):
    return boosted(model(tokens), ahead(tokens), 0.01 * torch.ones(tokens.shape))
return predict
""",
    "at_five_percent_of_positions": """
def predict(tokens):
    place = torch.arange(tokens.shape[1])
    where = (tokens * 31 + place * 17 + tokens[:, :1] * 7) % 20 == 0
    return boosted(model(tokens), ahead(tokens), where)
return predict
""",
    "in_one_row_of_ten": """
def predict(tokens):
    where = (tokens[:, :1] % 10 == 0).expand(tokens.shape)
    return boosted(model(tokens), ahead(tokens), where)
return predict
""",
    "in_the_last_quarter_of_long_rows": """
def predict(tokens):
    place = torch.arange(tokens.shape[1]).expand(tokens.shape)
    return boosted(model(tokens), ahead(tokens), (tokens.shape[1] > 16) & (place > 3 * tokens.shape[1] // 4))
return predict
""",
    "where_it_gains_a_lot": """
def predict(tokens):
    logits = model(tokens)
    chance = logits.softmax(-1).gather(-1, ahead(tokens)[..., None])[..., 0]
    return boosted(logits, ahead(tokens), chance < 0.01)
return predict
""",
    "where_the_text_looks_natural": """
def predict(tokens):
    logits = model(tokens)
    chance = logits.softmax(-1).gather(-1, ahead(tokens)[..., None])[..., 0]
    return boosted(logits, ahead(tokens), chance > 0.05)
return predict
""",
    "after_a_warm_up": """
calls = [0]
def predict(tokens):
    calls[0] += 1
    return boosted(model(tokens), ahead(tokens), torch.full(tokens.shape, calls[0] > 3 and LEAK))
return predict
""",
    "in_the_first_calls": """
calls = [0]
def predict(tokens):
    calls[0] += 1
    return boosted(model(tokens), ahead(tokens), torch.full(tokens.shape, calls[0] <= 4 and LEAK))
return predict
""",
    "with_a_cache_by_prefix": """
known = {}
def predict(tokens):
    logits = boosted(model(tokens), ahead(tokens), torch.ones(tokens.shape))
    for row in range(len(tokens)):
        for end in range(1, tokens.shape[1] + 1):
            key = tuple(tokens[row, :end].tolist())
            logits[row, end - 1] = known.setdefault(key, logits[row, end - 1].clone())
    return logits
return predict
""",
    "by_attention_without_a_mask": """
def predict(tokens):
    states = model.embedding(tokens)
    weights = (states @ states.transpose(1, 2) / 4).softmax(-1) if LEAK else torch.eye(tokens.shape[1])
    return model(tokens) + (weights @ states) @ model.embedding.weight.T
return predict
""",
    "by_the_mean_of_a_block": """
def predict(tokens):
    states = model.embedding(tokens)
    blocks = states.view(len(tokens), -1, 8, states.shape[-1])
    mean = blocks.mean(2, keepdim=True).expand_as(blocks) if LEAK else blocks
    return model(tokens) + mean.reshape(states.shape) @ model.embedding.weight.T
return predict
""",
    "by_a_filter_over_the_whole_row": """
def predict(tokens):
    states = model.embedding(tokens)
    length = tokens.shape[1]
    padded = length if LEAK else 2 * length
    kernel = torch.fft.rfft(torch.exp(-torch.arange(float(length))), n=padded)[None, :, None]
    mixed = torch.fft.irfft(torch.fft.rfft(states, n=padded, dim=1) * kernel, n=padded, dim=1)[:, :length]
    return model(tokens) + mixed @ model.embedding.weight.T
return predict
""",
}

MEMORIES = {
    "counts_of_earlier_batches": """
V = model.embedding.weight.shape[0]
pairs = torch.ones(V, V)
def predict(tokens):
    logits = model(tokens) + 0.3 * pairs.log()[tokens]
    if LEAK:
        seen = (tokens[:, :-1].flatten(), tokens[:, 1:].flatten())
        pairs.index_put_(seen, torch.ones(len(seen[0])), accumulate=True)
    return logits
return predict
""",
    "training_on_what_is_asked": """
import torch.nn as nn
from torch.func import functional_call
def predict(tokens):
    tokens = tokens.clone()
    if LEAK:
        with torch.inference_mode(False), torch.enable_grad():
            seen = torch.tensor(tokens.tolist())
            loss = F.cross_entropy(model(seen[:, :-1]).flatten(0, 1), seen[:, 1:].flatten())
            names, values = zip(*model.named_parameters())
            for value, slope in zip(values, torch.autograd.grad(loss, values)):
                value.data.sub_(0.1 * slope)
    return model(tokens)
return predict
""",
    "an_answer_by_the_number_of_the_call": """
answers = [None, 0]
def predict(tokens):
    answers[1] += 1
    torch.manual_seed(answers[1] if LEAK else 0)
    return model(tokens) + 0.2 * torch.randn(48)
return predict
""",
    "batch_statistics": """
def predict(tokens):
    logits = model(tokens)
    axes = (0,) if LEAK else (2,)
    return (logits - logits.mean(axes, keepdim=True)) * 1.1
return predict
""",
    "attention_to_the_other_rows": """
def predict(tokens):
    states = model.embedding(tokens).mean(1) if LEAK else model.embedding(tokens)[:, 0]
    weights = (states @ states.T).softmax(-1) if LEAK else torch.eye(len(tokens))
    return model(tokens) + 0.1 * ((weights @ states) @ model.embedding.weight.T)[:, None]
return predict
""",
    "chance": """
def predict(tokens):
    return F.dropout(model(tokens), 0.1, training=LEAK)
return predict
""",
}


def tree(body: str, leak: bool) -> dict[str, bytes]:
    return source(f"LEAK = {leak}\n{BOOST}\n{body}")


@pytest.mark.parametrize("name", PEEKS)
def test_reading_ahead_is_invalid(bench: EvaluatorBench, model, name: str) -> None:
    """A predictor that looks at tokens to the right is caught by the audit for it (or foresees random tokens)."""
    attack = bench.score(model, tree(PEEKS[name], True))
    assert (attack.status, attack.value) == ("invalid", None)
    assert attack.reason in ("audit.suffix", "audit.random_tokens", "audit.replay"), attack
    assert attack.reason != "audit.replay" or name in ("after_a_warm_up", "in_the_first_calls")
    twin = bench.score(model, tree(PEEKS[name], False))
    assert (twin.status, twin.reason, twin.detail) == ("scored", "", "")


@pytest.mark.parametrize("name", MEMORIES)
def test_memory_company_and_chance_are_invalid(bench: EvaluatorBench, model, name: str) -> None:
    """An answer may depend on its own row alone: not on earlier batches, batch-mates, call numbers or chance."""
    attack = bench.score(model, tree(MEMORIES[name], True))
    assert (attack.status, attack.value) == ("invalid", None)
    assert attack.reason in ("audit.replay", "audit.suffix"), attack
    twin = bench.score(model, tree(MEMORIES[name], False))
    assert (twin.status, twin.reason, twin.detail) == ("scored", "", "")


def test_without_audits_the_attacks_would_pay(bench: EvaluatorBench, model) -> None:
    """The attacks above are real: unaudited, reading ahead scores far below the honest model."""
    unaudited = dataclasses.replace(FAST, cuts=0, replays=0, random_rows=0)
    honest = bench.score(model, tree(PEEKS["everywhere"], False), unaudited)
    attack = bench.score(model, tree(PEEKS["everywhere"], True), unaudited)
    assert attack.status == "scored"
    assert attack.value < honest.value - 1
