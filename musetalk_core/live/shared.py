"""One model for several sessions: what they ask of a network while it is busy, it then does in one call."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import GenerationError
from ..models.batching import in_batches
from ..models.load import LoadedModel
from ..models.unet import LipNet
from ..models.vae import Autoencoder

if TYPE_CHECKING:
    import torch

MOST_ROWS = 16  # faces in one call of a network


def share_model(model: LoadedModel) -> LoadedModel:
    """The same networks, for sessions that run at the same time; `FaceTools` too must get its VAE from here."""
    import torch

    # On a CPU a call for each core is quicker than one call that uses them all; a GPU is full with one.
    places = torch.get_num_threads() if model.lips.device.type == "cpu" else 1
    return dataclasses.replace(model, lips=SharedLips(model.lips, places), vae=SharedDecoder(model.vae, places))


class SharedLips(LipNet):
    """A U-Net that joins the calls of several threads.

    Args:
        lips: the U-Net.
        places: calls that run at the same time.
    """

    def __init__(self, lips: LipNet, places: int) -> None:
        super().__init__(lips.network, lips.recipe, lips._placement)
        self.calls = JoinedCalls(super().__call__, places)

    def __call__(
        self, masked: torch.Tensor, reference: torch.Tensor, tokens: torch.Tensor, dtype: torch.dtype | None = None
    ) -> torch.Tensor:
        """See `LipNet`."""
        return self.calls(masked, reference, tokens, dtype=dtype)


class SharedDecoder:
    """A VAE (`Autoencoder`) whose decoder joins the calls of several threads.

    Args:
        vae: the VAE; it encodes as ever, since a session's faces are encoded before it begins.
        places: calls that run at the same time.
    """

    def __init__(self, vae: Autoencoder, places: int) -> None:
        self.identity = vae.identity
        self.encode = vae.encode
        self.calls = JoinedCalls(vae.decode, places)

    def decode(self, latents: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """See `Autoencoder.decode`."""
        return self.calls(latents, dtype=dtype)


@dataclass(eq=False)
class _Call:
    tensors: tuple[torch.Tensor, ...]
    result: torch.Tensor | None = None
    over: bool = False


class JoinedCalls:
    """A function of rows that few threads run at a time: whoever comes next does the work of all who wait.

    Nobody waits for company: a call that finds a free place runs at once.

    Args:
        function: as `models.batching.in_batches` takes it; the rows of its tensors do not influence each other.
        places: calls that run at the same time.
    """

    def __init__(self, function: Callable[..., torch.Tensor], places: int = 1) -> None:
        self._function = function
        self._free = places
        self._waiting: list[_Call] = []
        self._change = threading.Condition()  # of the places, the list, and calls that are over
        self.largest = 0  # calls that ever ran as one

    def __call__(self, *tensors: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """What the function gives for these rows; a call that names its precision is a repeat and runs alone."""
        if dtype is not None:
            return self._function(*tensors, dtype=dtype)
        call, calls = _Call(tensors), []
        with self._change:
            self._waiting.append(call)
            self._change.wait_for(lambda: call.over or (self._free > 0 and call in self._waiting))
            if not call.over:
                calls, self._waiting = self._waiting, []
                self._free -= 1
        if calls:
            try:
                self._run(calls)
            finally:
                with self._change:
                    self._free += 1
                    for each in calls:
                        each.over = True
                    self._change.notify_all()
        # When a joint call failed, each of its members runs alone and gets its own error.
        return self._function(*tensors) if call.result is None else call.result

    def _run(self, calls: list[_Call]) -> None:
        import torch

        self.largest = max(self.largest, len(calls))
        if len(calls) == 1:
            calls[0].result = self._function(*calls[0].tensors)
            return
        joined = [torch.cat(rows) for rows in zip(*(call.tensors for call in calls), strict=True)]
        try:
            result = in_batches(self._function, joined, MOST_ROWS)
        except GenerationError:
            return
        start = 0
        for call in calls:
            call.result = result[start : start + len(call.tensors[0])]
            start += len(call.tensors[0])
