"""Latents of a dataset, computed once: for small networks, whose training would otherwise wait for the VAE.

Each clip is encoded in a few fixed views. Views 2k and 2k + 1 are a pair: they share look and scale, as all pictures of
a sample do, and differ in the margin, as targets and references do. A sample's targets take one view, each of its
references one of the same pair.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..face.crop import crop_face, round_edges
from ..face.look import Look, LookOptions, apply_look, draw_look
from ..lips.encode import encode_faces
from ..models.checkpoint import save_safetensors
from ..progress import Progress
from .framing import Draw, Framing, FramingOptions, draw_framing

if TYPE_CHECKING:
    import torch

    from ..models.vae import Autoencoder

BATCH = 8  # crops at once
VIEW_SEED = 2  # of the views' margins, scales and looks: the same in every run


class LatentStore:
    """Latents on disk, in the dataset's folder.

    Args:
        folder: of the dataset.
        identity: of the VAE.
        size: side of the crops.
        framing, look: how views vary.
        views: of each clip, 1 or more.
    """

    def __init__(
        self, folder: Path, identity: str, size: int, framing: FramingOptions, look: LookOptions, views: int
    ) -> None:
        key = json.dumps([identity, size, asdict(framing), asdict(look)])
        self._root = folder
        self._folder = folder / "latents" / sha256(key.encode()).hexdigest()[:16]
        self._size, self._framing, self._look, self.views = size, framing, look, views

    def draw(self, clip: Path, view: int) -> tuple[Draw, Look]:
        """Margin, scale and look of a view."""
        seed = int(sha256(self._name(clip).encode()).hexdigest()[:12], 16)
        pair = np.random.default_rng((VIEW_SEED, seed, view // 2))
        look = draw_look(self._look, pair)
        scale = draw_framing(self._framing, 0, pair).scale
        margin = draw_framing(self._framing, 0, np.random.default_rng((VIEW_SEED, seed, view, 1))).margin
        return Draw(margin, np.empty(0), scale), look

    def choose(self, count: int, random: np.random.Generator) -> tuple[int, ...]:
        """Views of `count` references and, last, of the targets: all of one pair."""
        target = int(random.integers(self.views))
        first = target - target % 2
        size = min(2, self.views - first)
        return (*(first + int(place) for place in random.integers(size, size=count)), target)

    def path(self, clip: Path, view: int) -> Path:
        """Where one view of a clip lies."""
        return self._folder / f"{self._name(clip)}-view{view}.safetensors"

    def _name(self, clip: Path) -> str:
        return clip.relative_to(self._root).with_suffix("").as_posix().replace("/", "-")

    def missing(self, clips: Sequence[Path]) -> list[tuple[Path, int]]:
        """The views that are not there yet."""
        return [(clip, view) for clip in clips for view in range(self.views) if not self.path(clip, view).is_file()]

    def fill(self, clip: Path, framing: Framing, view: int, vae: Autoencoder, progress: Progress) -> None:
        """Encode one view of a clip; its file is there whole or not at all.

        Args:
            clip: its file.
            framing: its geometry.
            view: number of the view.
            vae: the autoencoder.
            progress: is told the frames that are done.
        """
        import torch
        from safetensors import safe_open

        (draw, look), parts = self.draw(clip, view), []
        file: Any = safe_open(str(clip), framework="np")
        pictures = file.get_slice("faces")
        count = pictures.get_shape()[0]
        boxes = round_edges(framing.edges(np.arange(count), draw.margin, draw.scale))
        for first in range(0, count, BATCH):
            part = range(first, min(count, first + BATCH))
            crops = np.stack([apply_look(crop_face(pictures[i], boxes[i], 0.0, self._size), look, i) for i in part])
            found = encode_faces(crops, vae, BATCH)
            parts.append(torch.stack([found.masked, found.reference], dim=1).half())  # (n, 2, 4, h, w)
            progress.advance(len(part))
        save_safetensors(self.path(clip, view), {"latents": torch.cat(parts)}, {"view": view})

    def read(self, clip: Path, view: int, frames: Sequence[int]) -> torch.Tensor:
        """(n, 2, 4, h, w) float32 unscaled latents of frames: masked, whole."""
        import torch
        from safetensors import safe_open

        file: Any = safe_open(str(self.path(clip, view)), framework="pt")
        stored = file.get_slice("latents")
        return torch.stack([stored[int(frame)] for frame in frames]).float()
