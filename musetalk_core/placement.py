"""Where networks run and in which precision: the host lends each one on its compute device."""

from __future__ import annotations

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

    Args:
        device: "auto", or any device name of torch ("cpu", "cuda", "cuda:1", "mps"; ROCm calls itself "cuda").
        dtype: "auto" takes bf16 where the device computes it fast, else fp16 on a GPU, else fp32.

    Raises:
        OptionError: the device is unknown to torch or absent.
    """

    def __init__(self, device: str = "auto", dtype: DtypeName = "auto") -> None:
        self._device = _find_device(device)
        self._dtype = _find_dtype(dtype, self._device)
        self._placed: WeakKeyDictionary[nn.Module, torch.dtype] = WeakKeyDictionary()

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
        if self._placed.get(network) != wanted:
            network.to(self._device, wanted).eval()
            # channels_last pays on convolutions in half precision only (fp32 on the CPU: no gain, measured).
            layout = torch.contiguous_format if wanted is torch.float32 else torch.channels_last
            for parameter in network.parameters():
                if parameter.dim() == 4:  # convolutions
                    parameter.data = parameter.data.to(memory_format=layout)
            self._placed[network] = wanted
        with torch.inference_mode():
            yield network


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
    fast_bf16 = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast_bf16 else torch.float32
