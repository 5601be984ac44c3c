"""Where networks run and in which precision: the host lends each one on its compute device."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Literal, Protocol
from weakref import WeakKeyDictionary

from .errors import OptionError

if TYPE_CHECKING:
    import torch
    from torch import nn

DtypeName = Literal["auto", "fp32", "fp16", "bf16"]


class Placement(Protocol):
    """Lends a network on its compute device.

    Attributes:
        device: where inputs of a lent network must be.
        dtype: the precision in which networks run unless a caller asks for another.
    """

    @property
    def device(self) -> torch.device: ...

    @property
    def dtype(self) -> torch.dtype: ...

    def lend(self, network: nn.Module, dtype: torch.dtype | None = None) -> AbstractContextManager[nn.Module]:
        """Give `network` on `device` in `dtype` (default: the placement's own) for the length of a `with` block."""


class SingleDevice:
    """Everything on one device, where it stays: the placement of scripts and of the command line.

    A lent network is a copy in the wanted precision, so that a batch that overflows half precision can be repeated with
    the weights as they were loaded.

    Args:
        device: "auto", or any device name of torch ("cpu", "cuda", "cuda:1", "mps"; ROCm calls itself "cuda").
        dtype: "auto" takes bf16 where the device computes it fast, else fp16 on a GPU, else fp32.

    Raises:
        OptionError: the device is unknown to torch or absent.
    """

    def __init__(self, device: str = "auto", dtype: DtypeName = "auto") -> None:
        self._device = _find_device(device)
        self._dtype = _find_dtype(dtype, self._device)
        self._copies: WeakKeyDictionary[nn.Module, tuple[int, nn.Module]] = WeakKeyDictionary()

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype

    @contextmanager
    def lend(self, network: nn.Module, dtype: torch.dtype | None = None) -> Iterator[nn.Module]:
        import torch

        wanted = dtype or self._dtype
        with torch.inference_mode():
            if wanted == self._dtype:
                yield self._working_copy(network)
            else:
                yield _copy_to(network, self._device, wanted)

    def _working_copy(self, network: nn.Module) -> nn.Module:
        """The network in the usual precision; made again when its weights have changed (in training)."""
        stamp = sum(parameter._version for parameter in network.parameters())
        known = self._copies.get(network)
        if known is None or known[0] != stamp:
            known = stamp, _copy_to(network, self._device, self._dtype)
            self._copies[network] = known
        return known[1]


def _copy_to(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """A copy that computes on `device` in `dtype`; the original keeps its weights exactly as they were loaded.

    What is there already is shared, not copied. channels_last pays on convolutions in half precision only (fp32 on the
    CPU: no gain, measured).
    """
    import torch

    half = dtype is not torch.float32

    def place(tensor: torch.Tensor) -> torch.Tensor:
        moved = tensor.detach().to(device, dtype if tensor.is_floating_point() else tensor.dtype)
        return moved.contiguous(memory_format=torch.channels_last) if half and moved.dim() == 4 else moved

    # deepcopy takes what its memo already knows: the weights are placed once and never doubled.
    memo: dict[int, torch.Tensor] = {id(buffer): place(buffer) for buffer in network.buffers()}
    for parameter in network.parameters():
        memo[id(parameter)] = torch.nn.Parameter(place(parameter), requires_grad=False)
    copied: nn.Module = copy.deepcopy(network, memo)
    return copied.eval()


def _find_device(name: str) -> torch.device:
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise OptionError(f"The device {name!r} cannot be used: {error}", "Use --device cpu, or auto.") from error
    return device


def _find_dtype(name: DtypeName, device: torch.device) -> torch.dtype:
    import torch

    if name != "auto":
        return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "mps":
        return torch.float16
    # Measured: with AMX bf16 decodes 5x faster than fp32; with AVX-512 BF16 alone it is slower.
    return torch.bfloat16 if torch.cpu._is_amx_tile_supported() else torch.float32
