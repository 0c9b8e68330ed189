"""Where the constants of the race come from."""

import math

import pytest

from harness.keep.bounds import TABULATED, block_bounds, bounds, computed, crossing, solve

RACE = [1 / (1 / 4 + 1 / look) for look in range(1, 7)]


@pytest.mark.parametrize(("alpha", "within"), [(0.05, 0.001), (0.01, 0.008)])
def test_quadrature_makes_the_tabulated_bounds_again(alpha: float, within: float) -> None:
    """The tables are rounded results of a simulation; the exact bounds lie within its error, never above."""
    for tabulated, exact in zip(TABULATED[alpha], computed(alpha, 4, 6), strict=True):
        assert -0.0003 < tabulated - exact < within


@pytest.mark.parametrize(("alpha", "spent"), [(0.05, 0.0500), (0.01, 0.0099)])
def test_the_tables_spend_what_they_say(alpha: float, spent: float) -> None:
    """A candidate without effect crosses the tabulated bounds with the stated probability."""
    assert crossing(RACE, TABULATED[alpha][-1]) == pytest.approx(spent, abs=5e-5)


def test_agrees_with_the_textbook() -> None:
    """Five equally spaced looks, two-sided .05: Jennison and Turnbull print 2.040."""
    assert solve([1, 2, 3, 4, 5], 0.025) == pytest.approx(2.040, abs=0.0005)


@pytest.mark.parametrize("alpha", [0.001, 0.02, 0.2])
@pytest.mark.parametrize(("incumbents", "looks"), [(2, 3), (4, 6), (9, 6), (4, 1)])
def test_any_alpha_is_spent_exactly(alpha: float, incumbents: int, looks: int) -> None:
    """Bounds for other settings are made on the spot, and fall from look to look."""
    information = [1 / (1 / incumbents + 1 / look) for look in range(1, looks + 1)]
    made = bounds(alpha, incumbents, looks)
    assert crossing(information, made[-1]) == pytest.approx(alpha, rel=1e-4)
    assert list(made) == sorted(made, reverse=True)


def test_one_look_is_an_ordinary_test() -> None:
    assert bounds(0.05, 4, 1)[0] == pytest.approx(1.6449, abs=1e-3)


def test_tables_have_the_shape_of_the_formula() -> None:
    """u_k = c * sqrt(I_6 / I_k)."""
    for table in TABULATED.values():
        for bound, information in zip(table, RACE, strict=True):
            assert bound == pytest.approx(table[-1] * math.sqrt(RACE[-1] / information), abs=0.002)


@pytest.mark.parametrize(
    ("alpha", "blocks", "ahead"), [(0.05, 6, 0), (0.0238, 6, 0), (0.05, 5, 1), (0.00074, 6, 0)]
)
def test_blocks_spend_exactly_alpha(alpha: float, blocks: int, ahead: int) -> None:
    """Equal trials of either side, or one more of the new one."""
    information = [1 / (1 / block + 1 / (block + ahead)) for block in range(1, blocks + 1)]
    made = block_bounds(alpha, blocks, ahead)
    assert crossing(information, made[-1]) == pytest.approx(alpha, rel=1e-4)
    assert list(made) == sorted(made, reverse=True)
