"""From a t statistic to the normal score with the same tail probability."""

LARGEST = 37.0  # beyond it the tail probability is zero in a float; also keeps every statistic finite


def normal_score(t: float, df: float) -> float:
    """z with P(Z >= z) = P(T_df >= t): bounds made for a known sd then hold for an estimated one.

    scipy.special and not scipy.stats: the same numbers, at a thousandth of the price of a distribution
    object. Imported late, because start-up imports this module.
    """
    from scipy.special import ndtri, stdtr

    tail = float(stdtr(df, -abs(t)))
    size = min(LARGEST, -float(ndtri(tail))) if tail > 0.0 else LARGEST
    return size if t >= 0 else -size
