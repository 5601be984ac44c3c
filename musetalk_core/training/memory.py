"""Training memory: nothing of the frozen decoder is kept between its forward and its backward pass.

Needs torch when it is imported.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def in_chunks(function: Callable[..., Tensor], *tensors: Tensor, size: int) -> Tensor:
    """`function` over chunks of rows, each computed again when its gradient is needed.

    Rows must not touch each other in `function`. Then the gradients are those of one plain call, exactly but for
    rounding, and at any time one chunk's inner values are in memory at most.

    Args:
        function: takes slices of `tensors` and gives one tensor with as many rows.
        tensors: all of the same first dimension.
        size: rows of a chunk; 0 calls `function` once, plainly, and keeps everything.

    Returns:
        The outputs in order.
    """
    if size == 0 or not torch.is_grad_enabled():
        return torch.cat([function(*part) for part in _split(tensors, size)])
    parts = [
        checkpoint(function, *part, use_reentrant=False, preserve_rng_state=False) for part in _split(tensors, size)
    ]
    return torch.cat(parts)


def _split(tensors: tuple[Tensor, ...], size: int) -> list[tuple[Tensor, ...]]:
    step = size or len(tensors[0])
    return [tuple(t[k : k + step] for t in tensors) for k in range(0, len(tensors[0]), step)]
