"""Sound tokens at unit variance while a U-Net trains; in its file the scaling is part of the attention's weights.

Whisper's features differ a hundredfold in size from channel to channel, which slows training from random weights. The
attention is linear in them: keys lose a constant that the softmax does not see, values a constant that the output's
bias takes up. So the file is a plain U-Net that takes raw features, and both ways are exact.

Needs torch when it is imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_SPREAD = 0.2  # channels that hardly move are not blown up
KEY, VALUE = ".attn2.to_k.weight", ".attn2.to_v.weight"
OUT_WEIGHT, OUT_BIAS = ".attn2.to_out.0.weight", ".attn2.to_out.0.bias"


@dataclass(frozen=True, slots=True, eq=False)
class TokenScale:
    """What is subtracted from tokens, and what they are divided by.

    Args:
        mean, spread: (D,).
    """

    mean: Tensor
    spread: Tensor

    def __call__(self, tokens: Tensor) -> Tensor:
        """Tokens (B, 50, D) at about unit variance."""
        return (tokens - self.mean) / self.spread

    def to(self, device: torch.device) -> TokenScale:
        """The same on a device."""
        return TokenScale(self.mean.to(device), self.spread.to(device))

    def fold(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights for raw tokens that do what `weights` do for scaled ones."""
        return self._change(weights, 1 / self.spread, -self.mean)

    def unfold(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The way back."""
        return self._change(weights, self.spread, self.mean / self.spread)

    def _change(self, weights: Mapping[str, Tensor], factor: Tensor, shift: Tensor) -> dict[str, Tensor]:
        """Scale the columns of keys and values; what `shift` adds to every value goes into the bias behind them."""
        changed = dict(weights)
        for name in weights:
            if name.endswith(VALUE):
                layer = name.removesuffix(VALUE)
                scaled = weights[name] * factor
                changed[name] = scaled
                moved = weights[layer + OUT_WEIGHT] @ (scaled @ shift)
                changed[layer + OUT_BIAS] = weights[layer + OUT_BIAS] + moved
            elif name.endswith(KEY):
                changed[name] = weights[name] * factor
        return changed


def plain_scale(width: int) -> TokenScale:
    """Tokens as they are."""
    return TokenScale(torch.zeros(width), torch.ones(width))


def measure_scale(tokens: Iterable[Tensor], position: Tensor) -> TokenScale:
    """The scale of a dataset.

    Args:
        tokens: of some samples, (T, 50, D) each.
        position: (50, D), what is added to tokens before they are scaled.
    """
    seen = torch.cat([(part + position).flatten(0, -2) for part in tokens])  # (n, D)
    return TokenScale(seen.mean(dim=0), seen.std(dim=0).clamp_min(LEAST_SPREAD))
