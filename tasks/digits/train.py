"""Trains a small classifier of 8x8 digits in numpy. The one file that an agent edits.

Called as `train.py --data DIR --out DIR --seed N --seconds S`; writes out/weights.safetensors.
`load_predictor` is what the referee calls to use those weights.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from harness.gate import open_gate

HIDDEN = 32
BATCH = 32
LEARNING_RATE = 0.03
MOMENTUM = 0.0
WEIGHT_DECAY = 0.0
BASE_SEED = 42  # mixed with --seed, so that this program's streams are its own

RESERVE_TIMES = 4  # not tuned: so often what saving took in the rehearsal is kept back: the load may grow
ENDING_SECONDS = 0.2  # not tuned: CPU time kept back besides, before the first look at the clock and after the last


def initial(generator):
    """Weights of two layers, 64 -> HIDDEN -> 10."""
    return {
        "w1": generator.normal(0, 64**-0.5, (64, HIDDEN)).astype(np.float32),
        "b1": np.zeros(HIDDEN, np.float32),
        "w2": generator.normal(0, HIDDEN**-0.5, (HIDDEN, 10)).astype(np.float32),
        "b2": np.zeros(10, np.float32),
    }


def features(images):
    """uint8 [n, 64] -> float32 [n, 64] around zero."""
    return np.asarray(images, np.float32) / 128 - 0.5


def forward(weights, inputs):
    """Returns the hidden layer [n, HIDDEN] and the logits [n, 10]."""
    hidden = np.maximum(inputs @ weights["w1"] + weights["b1"], 0)
    return hidden, hidden @ weights["w2"] + weights["b2"]


def gradients(weights, inputs, labels):
    """Mean cross-entropy in nats and its gradient for every weight."""
    hidden, logits = forward(weights, inputs)
    logits = logits - logits.max(1, keepdims=True)
    probabilities = np.exp(logits)
    probabilities /= probabilities.sum(1, keepdims=True)
    rows = np.arange(len(labels))
    loss = -np.log(probabilities[rows, labels] + 1e-12).mean()

    probabilities[rows, labels] -= 1
    d_logits = probabilities / len(labels)
    d_hidden = (d_logits @ weights["w2"].T) * (hidden > 0)
    return loss, {
        "w1": inputs.T @ d_hidden,
        "b1": d_hidden.sum(0),
        "w2": hidden.T @ d_logits,
        "b2": d_logits.sum(0),
    }


def learning_rate(progress):
    """progress: share of the budget that is used, 0 to 1."""
    return LEARNING_RATE * min(1.0, 2 * (1 - progress))


def train(images, labels, seed, progress_of):
    """Runs until progress_of(step) reaches 1. Returns the weights and the number of steps."""
    generator = np.random.default_rng([BASE_SEED, seed])
    weights = initial(generator)
    velocity = {name: np.zeros_like(weight) for name, weight in weights.items()}
    inputs, step, losses = features(images), 0, []
    while (progress := progress_of(step)) < 1:
        batch = generator.integers(0, len(inputs), BATCH)
        loss, slope = gradients(weights, inputs[batch], labels[batch])
        rate = learning_rate(progress)
        for name, weight in weights.items():
            velocity[name] = MOMENTUM * velocity[name] + slope[name] + WEIGHT_DECAY * weight
            weight -= rate * velocity[name]
        losses.append(loss)
        step += 1
    return weights, step, float(np.mean(losses[-200:]))


def rehearse(out):
    """Does once what follows, on random pictures, so that nothing is loaded late; the CPU seconds to keep back."""
    generator = np.random.default_rng(BASE_SEED)
    images, labels = generator.integers(0, 16, (BATCH, 64)), generator.integers(0, 10, BATCH)
    weights, steps, loss = train(images, labels, 0, lambda step: step / 20)
    start = time.process_time()
    save(weights, steps, loss, out)
    saving_seconds = time.process_time() - start
    for file in out.iterdir():
        file.unlink()
    return RESERVE_TIMES * saving_seconds + ENDING_SECONDS


def save(weights, steps, loss, out):
    contiguous = {name: np.ascontiguousarray(weight) for name, weight in weights.items()}
    save_file(contiguous, out / "weights.safetensors")
    (out / "claims.jsonl").write_text(json.dumps({"step": steps, "loss": loss}) + "\n", encoding="utf-8")


def load_predictor(artefact_path, data):  # noqa: ARG001 - the signature is the contract
    """Returns answers(items): each item is 64 pixels, each answer 10 logits. `data` is the public folder."""
    weights = load_file(artefact_path)

    def answers(items):
        _, logits = forward(weights, features(items))
        return logits.tolist()

    return answers


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()

    out = Path(options.out)
    reserve_seconds = rehearse(out)
    training = open_gate(options.data)
    start = time.process_time()
    images, labels = np.load(training["images.npy"]), np.load(training["labels.npy"])

    def progress_of(step):
        if training.steps:
            return step / training.steps
        return (time.process_time() - start) / (options.seconds - reserve_seconds)

    weights, steps, loss = train(images, labels, options.seed, progress_of)
    save(weights, steps, loss, out)
    print(f"steps {steps}  training loss {loss:.4f}", flush=True)
    os._exit(0)  # the interpreter's own end costs CPU time, under load as much as the reserve


if __name__ == "__main__":
    main()
