"""Opens the data gate: a candidate's training data can be read from here on, and its time is billed from here on.

Standard library only: this file lies beside train.py in every trial. Outside the harness it hands out DIR/train.
In a trial the files come as sealed memory files over a socket that the referee holds the other end of.
"""

import json
import os
import socket
from functools import cache
from pathlib import Path

VARIABLE = "HARNESS_GATE"
MOST_FILES_A_PACKET = 64
PACKET_BYTES = 1 << 16


class Training(dict[str, str]):
    """File name -> path to open. seconds, steps, tokens: the budget, None where it does not bound the trial."""

    seconds: float | None = None
    steps: int | None = None
    tokens: int | None = None


@cache
def open_gate(data: str) -> Training:
    """The training data below `data`, the folder that train.py got as --data. Raises OSError when they are not there.

    Once a process: asked again, it returns the same.
    """
    if VARIABLE in os.environ:
        return _ask(int(os.environ[VARIABLE]))
    folder = Path(data) / "train"
    return Training({path.name: str(path) for path in sorted(folder.iterdir())})


def _ask(descriptor: int) -> Training:
    training = Training()
    with socket.socket(fileno=os.dup(descriptor)) as channel:
        channel.send(b"open")
        more = True
        while more:
            packet, files, _, _ = socket.recv_fds(channel, PACKET_BYTES, MOST_FILES_A_PACKET)
            if not packet:
                raise ConnectionError("the referee has closed the data gate")
            message = json.loads(packet)
            training.update(
                {name: f"/proc/self/fd/{file}" for name, file in zip(message["names"], files, strict=True)}
            )
            training.seconds, training.steps, training.tokens = message["budget"]
            more = message["more"]
    return training
