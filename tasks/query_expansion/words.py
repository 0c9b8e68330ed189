"""Words as the index knows them, and when two queries are nearly the same. Candidates may read and import this."""

import functools
import re
from collections import Counter
from collections.abc import Iterable, Iterator

NEAR = 0.8  # two queries that share so much of their stems are nearly the same
STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be by for from has have in is it its of on or that the this to was were which with"
        " without not nos other than",
    )
)


def tokens(text: str) -> list[str]:
    """Words as the index knows them: lower case, no stop words, Snowball English stems."""
    words = [word for word in re.findall(r"[a-z0-9]+", text.lower()) if word not in STOP_WORDS]
    return stemmer().stemWords(words)


@functools.cache
def stemmer():
    import Stemmer

    return Stemmer.Stemmer("english")


def plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def nearest(queries: Iterable[str], others: Iterable[str]) -> dict[str, float]:
    """For each query the largest share of stems (intersection by union) that it has in common with another one."""
    shares = Shares(others)
    return {query: max((share for _, share in shares.of(query)), default=0.0) for query in queries}


def near_pairs(queries: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Every two queries that share NEAR of their stems or more, once."""
    shares = Shares(queries)
    for query in shares.texts:
        yield from ((query, other) for other, share in shares.of(query) if share >= NEAR and query < other)


def without_near(queries: Iterable[str], held_out: Iterable[str]) -> set[str]:
    """Those that share fewer than NEAR of their stems with any of `held_out`."""
    return {query for query, share in nearest(queries, held_out).items() if share < NEAR}


def stems_of(text: str) -> frozenset[str]:
    """Texts of stop words alone have one stem, the empty one: they are the same."""
    return frozenset(tokens(text)) or frozenset({""})


class Shares:
    """Looks up which of many texts have stems in common with a query."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = list(texts)
        self._stems = [stems_of(text) for text in self.texts]
        self._holders: dict[str, list[int]] = {}
        for number, stems in enumerate(self._stems):
            for stem in stems:
                self._holders.setdefault(stem, []).append(number)

    def of(self, query: str) -> Iterator[tuple[str, float]]:
        """Texts with a stem of the query's, and the share (intersection by union) of stems in common."""
        own = stems_of(query)
        common = Counter(number for stem in own for number in self._holders.get(stem, ()))
        for number, count in common.items():
            yield self.texts[number], count / (len(own) + len(self._stems[number]) - count)
