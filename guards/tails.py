"""Tails by the standard library: is a spread too small, or a difference too large, to be chance?"""

import math

_TERMS = 500
_TINY = 1e-300


def chi_square_below(value: float, df: float) -> float:
    """P(chi-square with df degrees of freedom <= value)."""
    if value <= 0:
        return 0.0
    return _lower_gamma(df / 2, value / 2)


def variance_ratio_below(ratio: float, df: float, reference_df: float) -> float:
    """P(s1^2 / s2^2 <= ratio) for variances of one normal population with these degrees of freedom.

    reference_df 0 or less: the reference is known exactly.
    """
    if ratio <= 0:
        return 0.0
    if reference_df <= 0:
        return chi_square_below(ratio * df, df)
    return _incomplete_beta(df / 2, reference_df / 2, df * ratio / (df * ratio + reference_df))


def student_above(t: float, df: float) -> float:
    """P(Student's t with df degrees of freedom >= t)."""
    half = _incomplete_beta(df / 2, 0.5, df / (df + t * t)) / 2
    return half if t >= 0 else 1 - half


def _lower_gamma(a: float, x: float) -> float:
    """Regularised lower incomplete gamma function: series below a + 1, continued fraction above."""
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        for index in range(1, _TERMS):
            term *= x / (a + index)
            total += term
            if term < total * 1e-16:
                break
        return min(1.0, total * scale)
    b, c, d = x + 1 - a, 1 / _TINY, 1 / (x + 1 - a)
    fraction = d
    for index in range(1, _TERMS):
        numerator = -index * (index - a)
        b += 2
        d = 1 / _away_from_zero(numerator * d + b)
        c = _away_from_zero(b + numerator / c)
        fraction *= d * c
        if abs(d * c - 1) < 1e-16:
            break
    return max(0.0, 1 - scale * fraction)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function, by its continued fraction on the side where that converges."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    front = math.exp(logarithm)
    if x < (a + 1) / (a + b + 2):
        return min(1.0, front * _beta_fraction(a, b, x) / a)
    return max(0.0, 1 - front * _beta_fraction(b, a, 1 - x) / b)


def _beta_fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for numerator in (even, odd):
            d = 1 / _away_from_zero(1 + numerator * d)
            c = _away_from_zero(1 + numerator / c)
            fraction *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return fraction


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
