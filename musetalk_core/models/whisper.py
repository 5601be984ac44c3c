"""What is said, as numbers: the encoder half of Whisper and its five hidden states."""

from __future__ import annotations

from collections.abc import Mapping
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
