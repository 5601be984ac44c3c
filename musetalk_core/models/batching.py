"""Runs a network over many rows: smaller batches when memory is short, higher precision when numbers overflow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..errors import GenerationError
from ..progress import Progress, SilentProgress

if TYPE_CHECKING:
    import torch

# How torch words a failed allocation where it raises a plain RuntimeError: CPU on Linux, CPU on Windows, Apple's MPS.
OUT_OF_MEMORY_TEXTS = ("can't allocate memory", "not enough memory", "out of memory")


def in_batches(
    function: Callable[..., torch.Tensor],
    tensors: Sequence[torch.Tensor],
    batch_size: int,
    progress: Progress | None = None,
) -> torch.Tensor:
    """Call `function` on slices of `tensors` and join what it gives.

    When a call runs out of memory, the batch is halved, for the rest of this job too. When a call gives NaN or
    infinite values, that one batch is repeated in float32: what overflows half precision fits there, and no second
    rounding of the weights is involved.

    Args:
        function: called as `function(*slices)`, and as `function(*slices, dtype=torch.float32)` for a repeat; gives
            one tensor with as many rows.
        tensors: at least one; all of the same first dimension B >= 1.
        batch_size: rows a call at most, >= 1.
        progress: is advanced by the rows of each batch; its cancel passes through.

    Returns:
        (B, ...) the outputs in order.

    Raises:
        GenerationError: out of memory at one row, or values that are not finite in float32.
    """
    import torch

    rows = _count_rows(tensors, batch_size)
    progress = progress or SilentProgress()
    outputs = []
    start = 0
    while start < rows:
        size = min(batch_size, rows - start)
        output = _attempt(function, [tensor[start : start + size] for tensor in tensors])
        if output is None:
            if size == 1:
                raise GenerationError(
                    "The network does not fit into memory, even for a single frame.",
                    "Close other programs, choose half precision (fp16 or bf16), or run on another device.",
                )
            batch_size = size // 2
            continue
        outputs.append(output)
        start += size
        progress.advance(size)
    return torch.cat(outputs)


def _count_rows(tensors: Sequence[torch.Tensor], batch_size: int) -> int:
    sizes = {len(tensor) for tensor in tensors}
    if len(sizes) != 1 or 0 in sizes:
        raise GenerationError(f"The network's inputs have {sorted(sizes)} rows; equal numbers above 0 are needed.")
    if batch_size < 1:
        raise GenerationError(f"A batch of {batch_size} rows is not possible.", "Choose a batch size of 1 or more.")
    return sizes.pop()


def _attempt(function: Callable[..., torch.Tensor], batch: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """The finite output of one batch; None when memory is short.

    A function of its own, because the caught error keeps the failed call's tensors alive until it is left.
    """
    import torch

    try:
        output = function(*batch)
        if torch.isfinite(output).all():
            return output
        output = function(*batch, dtype=torch.float32)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # gives the fragments of the failed batch back before a smaller one is tried
        return None
    if not torch.isfinite(output).all():
        raise GenerationError(
            "The network gave NaN or infinite values, in float32 too.",
            "The model file is damaged or was trained to that state: download it again, or use another.",
        )
    return output


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short, on any device."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in OUT_OF_MEMORY_TEXTS)
