"""Flash attention's interface through torch's own attention."""

import pytest
import torch

from harness.templates.adopted.stand_in_kernels import flash_attn_func


@pytest.mark.parametrize("window", [(-1, -1), (2, 0), (0, 0), (20, 0)])
@pytest.mark.parametrize("last", [1, 3, 7])
def test_the_last_queries_see_what_they_saw_among_all(last: int, window: tuple[int, int]) -> None:
    """As with a cache of keys; torch's `is_causal` would show the first keys alone to them."""
    torch.manual_seed(1)
    q, k, v = torch.randn(2, 7, 4, 8), torch.randn(2, 7, 2, 8), torch.randn(2, 7, 2, 8)
    whole = flash_attn_func(q, k, v, causal=True, window_size=window)
    torch.testing.assert_close(
        flash_attn_func(q[:, -last:], k, v, causal=True, window_size=window), whole[:, -last:]
    )


def test_a_query_sees_no_later_key() -> None:
    """With more keys than queries, too; without `causal` it sees all."""
    torch.manual_seed(2)
    q, k, v = torch.randn(1, 2, 1, 8), torch.randn(1, 5, 1, 8), torch.randn(1, 5, 1, 8)
    before = flash_attn_func(q, k, v, causal=True), flash_attn_func(q, k, v)
    v[:, -1] += 1
    after = flash_attn_func(q, k, v, causal=True), flash_attn_func(q, k, v)
    torch.testing.assert_close(after[0][:, 0], before[0][:, 0])
    assert not torch.allclose(after[0][:, 1], before[0][:, 1])
    assert not torch.allclose(after[1][:, 0], before[1][:, 0])
