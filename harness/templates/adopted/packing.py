"""Documents packed into rows of equal length without padding, as autoresearch's loader packs them.

Every row begins with the first token of a document. Whatever fits whole is put in first, the longest first; where
nothing fits, the shortest waiting document is cropped to what is left. Standard library and numpy; read by the
referee's prepare.py (held-out rows) and by the loader of a trial (training rows), so that both pack alike.
"""

from bisect import bisect_right, insort
from collections import deque
from itertools import repeat

import numpy as np

WAITING = 1000  # documents that are looked at for a place
REFILL = 128  # documents that are added at a time


class Packer:
    """documents: an endless iterator of (tokens, epoch); tokens are one-dimensional arrays of at least one token.

    refills: how many documents are added each time; None: always REFILL. drawn: how many were taken so far.
    """

    def __init__(self, documents, capacity, refills=None):
        self._documents, self._capacity, self._refills = documents, capacity, refills or repeat(REFILL)
        self.drawn = 0
        self._lengths = []  # of what waits, in order
        self._by_length = {}  # length -> documents of it, the earliest first
        self.epoch = 1

    def fill(self, row):
        """Writes `capacity` tokens into `row`. Raises StopIteration when the documents end."""
        place = 0
        while place < self._capacity:
            while len(self._lengths) < WAITING:
                self._refill()
            left = self._capacity - place
            fitting = bisect_right(self._lengths, left)
            tokens = self._taken(self._lengths[fitting - 1] if fitting else self._lengths[0])[:left]
            row[place : place + len(tokens)] = tokens
            place += len(tokens)

    def _refill(self):
        for _ in range(next(self._refills, REFILL)):
            tokens, self.epoch = next(self._documents)
            self.drawn += 1
            insort(self._lengths, len(tokens))
            self._by_length.setdefault(len(tokens), deque()).append(tokens)

    def _taken(self, length):
        self._lengths.pop(bisect_right(self._lengths, length) - 1)
        return self._by_length[length].popleft()


def document_stream(tokens, documents):
    """Every document again and again, with the number of the pass. documents: [d, 2], where each begins and ends."""
    epoch = 1
    while True:
        for begin, end in documents.tolist():
            yield tokens[begin:end], epoch
        epoch += 1


def rows_of(packer, capacity, most_rows):
    """uint32 [n, capacity]: packed rows, at most so many, fewer where the documents end."""
    rows = []
    try:
        while len(rows) < most_rows:
            row = np.empty(capacity, np.uint32)
            packer.fill(row)
            rows.append(row)
    except StopIteration:
        pass
    return np.array(rows, np.uint32).reshape(len(rows), capacity)
