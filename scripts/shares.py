"""Intervals of counts, and a figure's frame, as the studies show them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple


class Interval(NamedTuple):
    """value, with a 95 % interval from low to high."""

    value: float
    low: float
    high: float

    def said(self, digits: int = 3) -> str:
        return f"{self.value:.{digits}g} ({self.low:.{digits}g} to {self.high:.{digits}g})"


def binomial(count: int, total: int) -> Interval:
    """A share (Clopper and Pearson). Of nothing: 0 to 1."""
    from scipy.stats import binomtest

    if not total:
        return Interval(0.0, 0.0, 1.0)
    exact = binomtest(count, total).proportion_ci(method="exact")
    return Interval(count / total, float(exact.low), float(exact.high))


def poisson(count: int, total: float) -> Interval:
    """Events for each unit of `total` (exact, from chi-squared quantiles)."""
    from scipy.stats import chi2

    low = float(chi2.ppf(0.025, 2 * count)) / 2 if count else 0.0
    high = float(chi2.ppf(0.975, 2 * count + 2)) / 2
    return Interval(count / total, low / total, high / total)


@contextmanager
def figure(file: Path, width: float = 8.0, height: float = 3.6, panels: int = 1) -> Iterator[Any]:
    """Axes (an array of them for several panels) that are written to the file in the end, without a date."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "study"
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    made, axes = pyplot.subplots(1, panels, figsize=(width, height))
    yield axes
    for each in made.axes:
        each.grid(alpha=0.3)
    made.tight_layout()
    made.savefig(file, metadata={"Date": None})
    pyplot.close(made)


def bars(axes: Any, place: float, found: Interval, **more: Any) -> None:
    """A point with its interval, across."""
    error = [[max(0.0, found.value - found.low)], [max(0.0, found.high - found.value)]]
    axes.errorbar(found.value, place, xerr=error, fmt="o", capsize=3, **more)


def published(page: Path, table: Sequence[str]) -> None:
    """Printed, and put into the study's page where there is one."""
    print("\n".join(table))
    if page.is_file():
        put_between(page, "result", [*table])


def put_between(page: Path, name: str, lines: list[str]) -> None:
    """Replaces what stands between the comments `name` and `/name` of a README: tables are made by a command."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, _, rest = page.read_text().partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{page} has no place {start} ... {end}")
    page.write_text("\n".join([f"{before}{start}", *lines, f"{end}{after}"]))


def spread(values: list[float]) -> Interval:
    """Standard deviation of a sample, with the interval that normal values would have (chi-squared)."""
    import statistics

    from scipy.stats import chi2

    found, df = statistics.stdev(values), len(values) - 1
    low, high = ((df / float(chi2.ppf(tail, df))) ** 0.5 for tail in (0.975, 0.025))
    return Interval(found, low * found, high * found)
