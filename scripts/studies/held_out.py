"""Judges networks on people whom they were not trained on: the same clips, sounds and references for each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from musetalk_core.eval.curves import correlation, deviation_ratio, spread
from musetalk_core.eval.pixels import grey_levels, sharpness
from musetalk_core.face.look import LookOptions
from musetalk_core.models.batching import in_batches
from musetalk_core.models.vae import Autoencoder
from musetalk_core.training.balance import Clip
from musetalk_core.training.dataset import Choice, DataOptions, Samples, open_clips
from musetalk_core.training.framing import Draw, FramingOptions
from musetalk_core.training.pictures import as_bytes
from musetalk_core.training.sampling import SamplingOptions, draw_references
from musetalk_core.training.step import Batch, make_batch
from musetalk_core.training.validate import BATCH, Painter, openings, paint, pairs

FRAMES = 75  # of each clip
CLIPS_EACH = 2  # of one person, at most
EVERY = 9  # one frame of so many is made with the own sound and another frame for reference
SEED = 1
MARGIN = FramingOptions().margin_mean
Score = dict[str, float | None]


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A held-out clip: its frames as at inference, each its own reference; and some with another for reference."""

    whole: Batch
    other: Batch
    opening: np.ndarray


class HeldOut:
    """The clips of a dataset's held-out people, encoded once.

    Args:
        folder: the dataset.
        vae: encodes and decodes.
    """

    def __init__(self, folder: Path, vae: Autoencoder) -> None:
        found: dict[str, list[Clip]] = {}
        for clip in open_clips(folder, "validation")[0]:
            found.setdefault(clip.person, []).append(clip)
        clips = [clip for some in found.values() for clip in some[:CLIPS_EACH]]
        still = FramingOptions(margin_spread=0.0, scale_jitter=0.0)
        self._samples = Samples(clips, DataOptions(), still, LookOptions(), SamplingOptions(), SEED)
        self._vae = vae
        self._shown = [self._show(number) for number in range(len(clips))]
        self._pairs = pairs(self._samples.clips, len(clips))
        print(f"held out: {len(clips)} clips of {len(found)} people")

    def judge(self, lips: Painter, shuffle: bool = False) -> list[Score]:
        """The scores of a network on each clip.

        Args:
            lips: the network, or what stands for it.
            shuffle: mix each sound's windows up, as a control.

        Returns:
            Of each clip: of a dub with another sentence: r of its mouth with the true mouth of the
            sound ("dub"), with true mouths of other sounds ("chance") and with the source's own mouth ("leak"), its
            movement ("deviation") and sharpness ("detail") over the truth's; and of frames made with their own sound
            from another frame: PSNR of the mouth's window ("psnr"), and what a wrong sound costs ("gain"), dB.
        """
        random = np.random.default_rng(SEED)
        scores: list[Score] = []
        for source, sound in self._pairs:
            shown, tokens = self._shown[source], self._shown[sound].whole.tokens
            mixed = tokens[torch.from_numpy(random.permutation(len(tokens)))]
            made = self._paint(lips, shown.whole, mixed if shuffle else tokens)
            own = self._paint(lips, shown.other, shown.whole.tokens[::EVERY])
            wrong = self._paint(lips, shown.other, mixed[::EVERY])
            psnr = mouth_psnr(own, shown.other)
            found = {"detail": detail(made, shown.whole), "psnr": psnr, "gain": psnr - mouth_psnr(wrong, shown.other)}
            scores.append(self._follows(made, source, sound) | found)
        return scores

    def truth(self) -> list[Score]:
        """The scores of the truth itself, through the VAE: the sound's own video, and the frames as they are."""
        scores: list[Score] = []
        for source, sound in self._pairs:
            shown, heard = self._shown[source], self._shown[sound]
            made, same = self._decode(latents(heard.whole)), self._decode(latents(shown.other))
            found = {"detail": detail(made, heard.whole), "psnr": mouth_psnr(same, shown.other), "gain": None}
            scores.append(self._follows(made, source, sound) | found)
        return scores

    def sheet(self, lips: Painter, rows: int = 6) -> np.ndarray:
        """Of some clips: source frames above, the same with another sentence's sound below, (H, W, 3) uint8."""
        strips = []
        for source, sound in self._pairs[:rows]:
            whole, heard = self._shown[source].whole, self._shown[sound].whole
            few = torch.arange(5, FRAMES, FRAMES // 8)
            made = self._decode(lips(whole.masked[few], whole.reference[few], heard.tokens[few]))
            strips += [np.concatenate(list(true_bytes(whole)[few.numpy()]), 1), np.concatenate(list(made), 1)]
        return np.concatenate(strips)

    def _follows(self, made: np.ndarray, source: int, sound: int) -> Score:
        """Whose mouth the made one moves like."""
        opening, true = openings(made), self._shown[sound].opening
        others = [one.opening for k, one in enumerate(self._shown) if k not in (source, sound)]
        chance = spread([correlation(opening, other) for other in others])
        return {
            "dub": correlation(opening, true),
            "chance": None if chance is None else chance.mean,
            "leak": correlation(opening, self._shown[source].opening),
            "deviation": deviation_ratio(opening, true),
        }

    def _show(self, number: int) -> Shown:
        geometry = self._samples.geometry(number)
        every = np.arange(FRAMES)
        some = every[::EVERY]
        drawn = SamplingOptions(method="random")
        references = draw_references(geometry.shapes, some, drawn, np.random.default_rng((SEED, number)))
        whole, other = self._batch(number, every, every), self._batch(number, some, references)
        return Shown(whole, other, openings(true_bytes(whole)))

    def _batch(self, number: int, targets: np.ndarray, references: np.ndarray) -> Batch:
        draw = Draw(MARGIN, np.full(len(targets), MARGIN), 1.0)
        raw = default_collate([self._samples.read(Choice(number, targets, references, draw))])
        return make_batch(raw, self._vae, True, torch.device("cpu"))

    def _paint(self, lips: Painter, batch: Batch, tokens: Tensor) -> np.ndarray:
        """(N, S, S, 3) uint8."""
        return as_bytes(paint(lips, self._vae, batch, tokens))

    def _decode(self, made: Tensor) -> np.ndarray:
        """(N, S, S, 3) uint8."""
        return as_bytes(in_batches(self._vae.decode, [made], BATCH))


def latents(batch: Batch) -> Tensor:
    """The true latents, which all batches here carry."""
    assert batch.true_latents is not None
    return batch.true_latents


def true_bytes(batch: Batch) -> np.ndarray:
    """The true pictures, (N, S, S, 3) uint8."""
    return as_bytes(batch.true)


def mouths(pictures: np.ndarray, batch: Batch) -> list[np.ndarray]:
    """The mouth's window of each picture."""
    boxes = batch.mouths.round().int().clamp(0, pictures.shape[1]).tolist()
    return [picture[y1:y2, x1:x2] for picture, (x1, y1, x2, y2) in zip(pictures, boxes, strict=True)]


def mouth_psnr(made: np.ndarray, batch: Batch) -> float:
    """PSNR over all mouths' windows, dB."""
    sides = [mouths(pictures, batch) for pictures in (made, true_bytes(batch))]
    return float(cv2.PSNR(*(np.concatenate([part.reshape(-1, 3) for part in side]) for side in sides)))


def detail(made: np.ndarray, batch: Batch) -> float:
    """Sharpness of the mouths' windows over that of the true faces in the same clip."""
    mine, true = (
        np.mean([sharpness(grey_levels(part)) for part in mouths(side, batch)]) for side in (made, true_bytes(batch))
    )
    return float(mine / true)
