"""The core's questions to its host, answered by ComfyUI: where a network runs, how far a job is, who cancels it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.utils

from ...musetalk_core.placement import DtypeName

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

WORKING_MEMORY = 1 << 30  # bytes kept free beside the weights: a batch of 8 faces needs less
PREVIEW_SIZE = 512  # pixels a side that the front end shows at most


class HostProgress:
    """ComfyUI's bar and preview on the running node; raises ComfyUI's own interrupt once the user has cancelled."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._done = 0

    def start(self, stage: str, total: int | None) -> None:
        """See `Progress.start`. A stage of unknown length has no bar."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        self._bar = comfy.utils.ProgressBar(total) if total else None
        self._done = 0

    def advance(self, count: int = 1, preview: np.ndarray | None = None) -> None:
        """See `Progress.advance`."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        self._done += count
        if self._bar is not None:
            self._bar.update_absolute(self._done, preview=_picture(preview))


class HostPlacement:
    """Networks in the care of ComfyUI's memory manager: loaded when lent, moved away when others need the room.

    Args:
        dtype: precision of the networks; "auto" is what ComfyUI chooses for its own diffusion models.
    """

    def __init__(self, dtype: DtypeName = "auto") -> None:
        self._device: torch.device = comfy.model_management.get_torch_device()
        self._dtype = compute_dtype(dtype, self._device)
        self._patchers: dict[nn.Module, Any] = {}

    @property
    def device(self) -> torch.device:
        """Where inputs of a lent network must be."""
        return self._device

    @property
    def dtype(self) -> torch.dtype:
        """Precision in which networks run unless a caller asks for another."""
        return self._dtype

    @contextmanager
    def lend(self, network: nn.Module, dtype: torch.dtype | None = None) -> Iterator[nn.Module]:
        """The network on the device; it computes in the precision of what it is given."""
        import torch

        if network not in self._patchers:
            make_castable(network, self._dtype)
            # Our networks have a read-only `device`, on which the memory manager wants to write: it gets a box.
            box = type(type(network).__name__, (torch.nn.ModuleList,), {})([network])
            self._patchers[network] = managed(box, self._device)
        with torch.inference_mode(), interruptible(network):
            load(self._patchers[network])
            yield network


class ModelPlacement:
    """Runs the U-Net of a MODEL with all that other nodes have put on it: LoRA, patches, torch.compile, wrappers.

    Args:
        patcher: what lies on the MODEL socket.
    """

    def __init__(self, patcher: Any) -> None:
        self._patcher = patcher

    @property
    def device(self) -> torch.device:
        """Where inputs of the lent network must be."""
        device: torch.device = self._patcher.load_device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """Precision in which the U-Net runs unless a caller asks for another."""
        dtype: torch.dtype = self._patcher.model.compute_dtype
        return dtype

    @contextmanager
    def lend(self, network: nn.Module, dtype: torch.dtype | None = None) -> Iterator[Any]:
        """Something to call like the U-Net, which goes the way of ComfyUI's samplers."""
        import torch

        options = {**self._patcher.model_options["transformer_options"], "wrappers": self._patcher.wrappers}

        def call(latents: torch.Tensor, time: torch.Tensor, *, encoder_hidden_states: torch.Tensor, **_: Any) -> Any:
            words = {"c_crossattn": encoder_hidden_states, "transformer_options": options}
            return (self._patcher.model.apply_model(latents, time, **words),)

        with torch.inference_mode(), interruptible(self._patcher.model.diffusion_model):
            load(self._patcher)
            yield call


@contextmanager
def interruptible(network: nn.Module) -> Iterator[None]:
    """Let every layer of a network hear a cancel: on a CPU one batch of a large one takes many seconds."""
    import torch

    def listen(*_: Any) -> None:
        if not torch.compiler.is_compiling():  # a compiled network is one piece
            comfy.model_management.throw_exception_if_processing_interrupted()

    hooks = [module.register_forward_pre_hook(listen) for module in network.modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def intermediate(tensor: torch.Tensor) -> torch.Tensor:
    """The same numbers where and as ComfyUI wants them between nodes."""
    host = comfy.model_management
    return tensor.to(device=host.intermediate_device(), dtype=host.intermediate_dtype())


def compute_dtype(name: DtypeName, device: torch.device) -> torch.dtype:
    """The precision that a user names, or that ComfyUI takes for its diffusion models on this device."""
    import torch

    if name != "auto":
        return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[name]
    supported = [torch.float16, torch.bfloat16, torch.float32]
    host = comfy.model_management
    kept = host.unet_dtype(device=device, supported_dtypes=supported)
    dtype: torch.dtype = host.unet_manual_cast(kept, device, supported) or kept
    return dtype


def make_castable(network: nn.Module, dtype: torch.dtype) -> None:
    """Give a network ComfyUI's layers, which fetch and cast their weights at each call, and weights of this precision.

    So a large network runs layer by layer where memory is short, and a batch that overflows half precision can be
    repeated in float32. A weight that half precision cannot hold stays as it is.
    """
    import torch

    for module in network.modules():
        layer = getattr(comfy.ops.manual_cast, type(module).__name__, None)
        if layer is not None and issubclass(layer, type(module)):
            module.__class__ = layer
            if not hasattr(module, "bias"):
                module.register_parameter("bias", None)  # ComfyUI's embeddings have one, torch's have not
        for name, weight in list(module.named_parameters(recurse=False)):
            cast = weight.detach().to(dtype)
            kept = cast if torch.isfinite(cast).all() else weight.detach()
            setattr(module, name, torch.nn.Parameter(kept, requires_grad=False))
    comfy.model_management.archive_model_dtypes(network)


def managed(model: nn.Module, device: torch.device, *, dynamic: bool = True) -> Any:
    """A model in ComfyUI's memory manager.

    Args:
        model: the network, in a module on which a `device` can be set.
        device: where it runs.
        dynamic: let ComfyUI stream the weights, where it can.
    """
    patchers = comfy.model_patcher  # looked up now: ComfyUI rebinds the name at start-up
    kind = patchers.CoreModelPatcher if dynamic else patchers.ModelPatcher
    return kind(model, load_device=device, offload_device=comfy.model_management.unet_offload_device())


def load(patcher: Any) -> None:
    """Bring a model to its device; others are moved away for it when the room is short. A cancel is heard here too."""
    comfy.model_management.throw_exception_if_processing_interrupted()
    comfy.model_management.load_models_gpu([patcher], memory_required=WORKING_MEMORY)


def _picture(preview: np.ndarray | None) -> tuple[str, Any, int] | None:
    from PIL import Image

    return None if preview is None else ("JPEG", Image.fromarray(preview), PREVIEW_SIZE)
