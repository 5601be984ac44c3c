"""Batches: smaller when memory is short, repeated in float32 when half precision overflows, never a bad result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from musetalk_core.errors import GenerationError
from musetalk_core.models.batching import in_batches, is_out_of_memory

CPU_LINUX = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to"
CPU_WINDOWS = "[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: not enough memory: you tried to allocate"
MPS = "MPS backend out of memory (MPS allocated: 5.06 GB, other allocations: 3.11 GB, max allowed: 9.07 GB)."


class Small(nn.Module):
    """A real network: one layer, in the dtype that it is asked for. Counts the rows of its calls."""

    def __init__(self, weight: float = 1.0, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        nn.init.constant_(self.layer.weight, weight)
        self.dtype = dtype
        self.calls: list[tuple[int, torch.dtype]] = []

    def forward(self, rows: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        wanted = dtype or self.dtype
        self.calls.append((len(rows), wanted))
        with torch.inference_mode():
            weight, bias = self.layer.weight.to(wanted), self.layer.bias.to(wanted)
            return torch.nn.functional.linear(rows.to(wanted), weight, bias).float()


class Tight(Small):
    """Memory for `room` rows, and, when `late` is given, only until that call."""

    def __init__(self, room: int, error: BaseException, late: int = 0) -> None:
        super().__init__()
        self.room, self.error, self.late = room, error, late

    def forward(self, rows: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        output = super().forward(rows, dtype)
        if len(rows) > self.room and len(self.calls) >= self.late:
            raise self.error
        return output


@given(st.integers(1, 40), st.integers(1, 50))
def test_the_batch_size_never_changes_the_answer(rows: int, batch_size: int) -> None:
    network = Small()
    values = torch.arange(rows * 4.0).reshape(rows, 4)
    torch.testing.assert_close(in_batches(network, [values], batch_size), network(values))
    assert sum(size for size, _ in network.calls[:-1]) == rows
    assert max(size for size, _ in network.calls[:-1]) <= batch_size


@pytest.mark.parametrize("text", [CPU_LINUX, CPU_WINDOWS, MPS])
@pytest.mark.parametrize("make", [torch.OutOfMemoryError, RuntimeError])
def test_out_of_memory_halves_the_batch(text: str, make: Callable[[str], RuntimeError]) -> None:
    network = Tight(3, make(text))
    values = torch.randn(20, 4)
    result = in_batches(network, [values], 16)
    torch.testing.assert_close(result, Small.forward(network, values))
    assert [size for size, _ in network.calls[:-1]] == [16, 8, 4, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]


def test_out_of_memory_in_batch_7() -> None:
    network = Tight(2, torch.OutOfMemoryError("CUDA out of memory."), late=7)
    values = torch.randn(64, 4)
    result = in_batches(network, [values], 8)
    torch.testing.assert_close(result, Small.forward(network, values))
    assert [size for size, _ in network.calls[:9]] == [8, 8, 8, 8, 8, 8, 8, 4, 2]


def test_a_real_allocation_that_cannot_succeed_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_no_memory_for_one_row_is_an_error_of_ours() -> None:
    with pytest.raises(GenerationError, match="single frame"):
        in_batches(Tight(0, torch.OutOfMemoryError("CUDA out of memory.")), [torch.randn(5, 4)], 4)


def test_other_errors_pass_through() -> None:
    with pytest.raises(RuntimeError, match="device-side assert"):
        in_batches(Tight(0, RuntimeError("device-side assert triggered")), [torch.randn(5, 4)], 4)


def test_weights_that_overflow_fp16_give_the_float32_answer() -> None:
    network = Small(weight=60_000.0, dtype=torch.float16)
    values = torch.full((6, 4), 1e-3)
    values[4:] = 10.0  # 4 * 10 * 60,000 is beyond 65,504
    result = in_batches(network, [values], 2)
    assert network.calls == [(2, torch.float16)] * 3 + [(2, torch.float32)]
    torch.testing.assert_close(result[4:], torch.full((2, 3), 2.4e6) + network.layer.bias.detach())


def test_only_the_bad_batch_is_repeated() -> None:
    network = Small(weight=60_000.0, dtype=torch.float16)
    values = torch.full((8, 4), 1e-3)
    values[3] = 10.0
    in_batches(network, [values], 2)
    assert [dtype for _, dtype in network.calls].count(torch.float32) == 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_bad_values_in_float32_are_an_error_and_never_a_picture(bad: float) -> None:
    values = torch.zeros(6, 4)
    values[5, 1] = bad
    with pytest.raises(GenerationError, match="NaN or infinite"):
        in_batches(Small(), [values], 4)


def test_out_of_memory_in_the_repeat_halves_too() -> None:
    class Both(Small):
        def forward(self, rows: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
            output = super().forward(rows, dtype)
            if dtype is torch.float32 and len(rows) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return output

    network = Both(weight=60_000.0, dtype=torch.float16)
    assert torch.isfinite(in_batches(network, [torch.full((8, 4), 10.0)], 8)).all()


class Cancelled(BaseException):
    """A host's own cancel."""


class Stop:
    """Progress that counts, and cancels after a number of rows."""

    def __init__(self, after: int) -> None:
        self.after, self.done = after, 0

    def start(self, stage: str, total: int | None) -> None:
        self.done = 0

    def advance(self, count: int = 1, preview: np.ndarray | None = None) -> None:
        self.done += count
        if self.done >= self.after:
            raise Cancelled


def test_cancel_stops_after_the_running_batch() -> None:
    network, progress = Small(), Stop(8)
    with pytest.raises(Cancelled):
        in_batches(network, [torch.randn(100, 4)], 4, progress)
    assert len(network.calls) == 2


def test_progress_counts_rows() -> None:
    progress = Stop(1000)
    in_batches(Small(), [torch.randn(11, 4)], 4, progress)
    assert progress.done == 11


@pytest.mark.parametrize(
    ("tensors", "batch_size", "message"),
    [
        ([torch.zeros(3, 4), torch.zeros(2, 4)], 1, "2, 3"),
        ([torch.zeros(0, 4)], 1, "rows"),
        ([], 1, "rows"),
        ([torch.zeros(3, 4)], 0, "batch of 0"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(tensors: Any, batch_size: int, message: str) -> None:
    with pytest.raises(GenerationError, match=message):
        in_batches(Small(), tensors, batch_size)
