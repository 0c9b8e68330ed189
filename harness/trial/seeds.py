"""The only source of seeds. A seed is drawn when a trial starts, after its candidate was committed."""

import hashlib
import hmac
import secrets

from harness.task.secret import SECRET_BYTES

_LARGEST = 2**31 - 1  # every generator in use takes 31 bits


def new_secret() -> bytes:
    """A session's secret: who does not know it can predict no seed."""
    return secrets.token_bytes(SECRET_BYTES)


def trial_seed(secret: bytes, trial_id: str) -> int:
    """The seed of one trial, in 0 .. 2^31 - 1: HMAC-SHA256 of the trial's id under the session's secret."""
    digest = hmac.new(secret, trial_id.encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:8]) % (_LARGEST + 1)


def derived(seed: int, purpose: str) -> int:
    """256 bits for another of the referee's draws in the trial with this seed: the same ones when it is repeated."""
    return int.from_bytes(hashlib.sha256(f"{purpose} of trial {seed}".encode()).digest())
