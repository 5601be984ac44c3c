"""What is said, as numbers: the encoder half of Whisper and its five hidden states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import MediaError, ModelError
from ..placement import Placement
from ..types import SPEECH_RATE

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

PIECE_SECONDS = 30  # Whisper always hears 30 s; what is missing is silence
PIECE_SAMPLES = PIECE_SECONDS * SPEECH_RATE
HEAD_WIDTH = 64  # channels of an attention head in every Whisper
WINDOW, HOP = 400, 160  # samples of Whisper's spectrum
QUIETEST = 1e-10  # power; digital silence would be minus infinity
DYNAMIC_RANGE = 8.0  # log10 of power: what is softer than the loudest by more counts as silence
MEL_PER_STEP = 2  # the second convolution's stride


def build_whisper(config: Mapping[str, Any]) -> nn.Module:
    """transformers' Whisper encoder of this configuration, on the meta device.

    Args:
        config: d_model, encoder_layers, encoder_attention_heads, encoder_ffn_dim, num_mel_bins, max_source_positions.

    Raises:
        ModelError: transformers does not accept the configuration.
    """
    import torch
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder as Network

    try:
        with torch.device("meta"):
            network: nn.Module = Network(WhisperConfig(**config))
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"The sound encoder's configuration is not valid: {error}.", "Convert the weights again."
        ) from error
    return network


@dataclass(frozen=True, slots=True, eq=False)
class WhisperMemory:
    """What the layers remember of the steps of one piece of 30 s, each at its own position.

    Args:
        keys, values: one a layer, (1, heads, 1500, 64), on the encoder's device.
        first: position of the oldest step in it.
    """

    keys: list[torch.Tensor]
    values: list[torch.Tensor]
    first: int


class WhisperEncoder:
    """Sound to features: 50 steps a second, one vector before the layers and one after each.

    Source: the released models take the states as transformers gives them: convolutions plus positions, the output of
    each layer but the last, and the last one's after the final normalisation.

    Args:
        network: transformers' WhisperEncoder with weights.
        identity: which Whisper it is, "whisper-tiny.en".
        placement: where it runs.
    """

    def __init__(self, network: nn.Module, identity: str, placement: Placement) -> None:
        from transformers import WhisperFeatureExtractor

        config: Any = network.config
        self.network = network
        self.identity = identity
        self.width = int(config.d_model)
        self.layers = int(config.encoder_layers)
        self._placement = placement
        self._log_mel = WhisperFeatureExtractor(feature_size=int(config.num_mel_bins))

    def encode(self, samples: np.ndarray, dtype: torch.dtype | None = None) -> torch.Tensor:
        """All hidden states of one piece of sound.

        Args:
            samples: (S,) float32 at 16 kHz, S <= 480000; heard as 30 s, the rest silent.
            dtype: precision of this call; default: the placement's.

        Returns:
            (T, layers + 1, D) float32 on the CPU, T = 1500 steps of 20 ms.

        Raises:
            MediaError: the piece is longer than 30 s.
        """
        import torch

        if len(samples) > PIECE_SAMPLES:
            raise MediaError(
                f"A piece of {len(samples) / SPEECH_RATE:.2f} s of sound is longer than {PIECE_SECONDS} s.",
                "Encode longer sound piece by piece.",
            )
        device, precision = self._placement.device, dtype or self._placement.dtype
        mel = self._log_mel(samples, sampling_rate=SPEECH_RATE, return_tensors="pt").input_features  # (1, mels, 3000)
        with self._placement.lend(self.network, precision) as network:
            output = network(mel.to(device, precision), output_hidden_states=True)
            # The last state is taken from the output itself: a flag of transformers 5 can make it unnormalised.
            states = (*output.hidden_states[: self.layers], output.last_hidden_state)
            steps = torch.stack(states, dim=2)[0].float().cpu()  # (1, T, D) x 5 -> (T, 5, D)
        return steps.clone()  # an ordinary tensor again: those of inference mode refuse later changes

    def log_mel(self, samples: np.ndarray) -> torch.Tensor:
        """Log-mel spectrum before its loudest value is known (`normalised`).

        Args:
            samples: (400 + 160 (n - 1),) float32 at 16 kHz; column j is centred at sample 200 + 160 j.

        Returns:
            (bands, n) float32, log10 of power.
        """
        import torch

        window = torch.hann_window(WINDOW)
        spectrum = torch.stft(torch.from_numpy(samples), WINDOW, HOP, window=window, center=False, return_complex=True)
        filters = torch.from_numpy(self._log_mel.mel_filters).float()  # (201, bands)
        power: torch.Tensor = filters.T @ spectrum.abs().square()
        return power.clamp(min=QUIETEST).log10()

    def memory(self, first: int = 0) -> WhisperMemory:
        """An empty memory for steps from position `first` on."""
        import torch

        config: Any = self.network.config
        heads = int(config.encoder_attention_heads)
        shape = 1, heads, int(config.max_source_positions), self.width // heads
        device, dtype = self._placement.device, self._placement.dtype

        def room() -> list[torch.Tensor]:
            return [torch.zeros(shape, device=device, dtype=dtype) for _ in range(self.layers)]

        return WhisperMemory(room(), room(), first)

    def hear(self, mel: torch.Tensor, position: int, memory: WhisperMemory, before: int = 0) -> torch.Tensor:
        """Hidden states of some steps of a piece, given what is remembered of the steps before them.

        Heard whole from position 0, a piece gives what `encode` gives. Steps may be heard again, with more of what
        follows them; their memory is replaced.

        Args:
            mel: (bands, 2 (before + n)) float32, normalised.
            position: number of the first of the n steps in the 30 s; steps memory.first .. position were heard before.
            memory: gets the n steps.
            before: steps in `mel` that lie before `position`, for the convolutions only.

        Returns:
            (n, layers + 1, D) float32 on the CPU.
        """
        import torch
        from torch.nn import functional

        network: Any
        with self._placement.lend(self.network) as network:
            hidden = functional.gelu(network.conv1(mel[None].to(self._placement.device, self._placement.dtype)))
            hidden = functional.gelu(network.conv2(hidden)).transpose(1, 2)[:, before:]  # (1, D, T) -> (1, n, D)
            stop = position + hidden.shape[1]
            hidden = hidden + network.embed_positions.weight[position:stop]
            states = [hidden]
            for layer, keys, values in zip(network.layers, memory.keys, memory.values, strict=True):
                hidden = _attend(layer, hidden, keys[:, :, :stop], values[:, :, :stop], memory.first, position)
                states.append(hidden)
            states[-1] = network.layer_norm(hidden)
            steps = torch.stack(states, dim=2)[0].float().cpu()  # (1, n, D) x 5 -> (n, 5, D)
        return steps.clone()


def normalised(log_mel: torch.Tensor, loudest: float) -> torch.Tensor:
    """A log-mel spectrum as Whisper takes it, given its loudest value so far."""
    return (log_mel.clamp(min=loudest - DYNAMIC_RANGE) + 4) / 4


def _attend(
    layer: Any, hidden: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, first: int, position: int
) -> torch.Tensor:
    """One layer over (1, n, D) new steps, which also look back at the remembered ones from `first` on."""
    from torch.nn import functional

    def heads(projected: torch.Tensor) -> torch.Tensor:
        return projected.view(1, len(projected[0]), keys.shape[1], -1).transpose(1, 2)  # (1, n, D) -> (1, heads, n, 64)

    attention = layer.self_attn
    heard = layer.self_attn_layer_norm(hidden)
    keys[:, :, position:] = heads(attention.k_proj(heard))
    values[:, :, position:] = heads(attention.v_proj(heard))
    mixed = functional.scaled_dot_product_attention(
        heads(attention.q_proj(heard)), keys[:, :, first:], values[:, :, first:]
    )
    hidden = hidden + attention.out_proj(mixed.transpose(1, 2).flatten(2))
    widened = functional.gelu(layer.fc1(layer.final_layer_norm(hidden)))
    result: torch.Tensor = hidden + layer.fc2(widened)
    return result
