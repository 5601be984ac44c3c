"""What held-out people say about a run: losses with the right and a wrong sound, dubs under the meters, and pictures.

Needs torch when it is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..audio.write import Sound
from ..errors import FaceError, MediaError, OptionError
from ..eval.curves import dub_scores
from ..eval.mouth import mouth_curves
from ..face.crop import CropOptions
from ..face.look import LookOptions
from ..face.options import TrackOptions
from ..face.points import mouth_opening
from ..face.preview import write_picture
from ..face.track import track_faces
from ..models.batching import in_batches
from ..models.checkpoint import read_checkpoint
from ..models.recipe import Recipe
from ..models.unet import LipNet
from ..models.vae import Autoencoder
from ..placement import SingleDevice
from ..progress import SilentProgress
from ..types import SPEECH_RATE
from ..video.read import ArrayFootage
from ..video.write import VideoWriter, WriteOptions
from .balance import Clip
from .config import TrainConfig
from .cutting import RATE
from .dataset import Choice, Samples, open_clips
from .framing import Draw, FramingOptions
from .pictures import as_bytes
from .step import Batch, make_batch

SEED = 1  # of the fixed samples: the same in every validation, whatever the run's own seed
BATCH = 4  # frames at once
Painter = Callable[..., Tensor]  # masked, reference and tokens to latents, as `LipNet`


class Validator:
    """Judges a network on people whom it was not trained on.

    Args:
        config: of the run.
        vae: the autoencoder.
        recipe: of the network.
        placement: where networks run; inference code is used throughout.

    Raises:
        OptionError: the dataset holds nobody back.
    """

    def __init__(self, config: TrainConfig, vae: Autoencoder, recipe: Recipe, placement: SingleDevice) -> None:
        try:
            clips, _ = open_clips(Path(config.data.folder), "validation")
        except MediaError as error:
            raise OptionError(error.what, "Prepare more people, or set run.validate_every = 0.") from error
        self._config, self._vae, self._recipe, self._placement = config, vae, recipe, placement
        still = FramingOptions(margin_spread=0.0, scale_jitter=0.0)
        data = replace(config.data, shares="")  # other people than the training's
        self._samples = Samples(clips, data, still, LookOptions(), config.sampling, SEED)

    def judge(self, unet: nn.Module, folder: Path, update: int) -> dict[str, float | None]:
        """All scores; writes the sheet `update-N.png`, and `update-N.mp4`: a clip, and how it says another's sentence.

        Args:
            unet: with the weights to be judged.
            folder: receives the sheet and the video.
            update: for their names.

        Returns:
            lower_l1 and lower_l1_wrong_sound (mean difference below the mask's edge, pixels in -1..1), sound_gain (by
            how much the right sound is better, as a share), and with dubs: dub, chance and leak (see `dub_scores`).
        """
        unet.eval()
        lips = LipNet(unet, self._recipe, self._placement)
        folder.mkdir(parents=True, exist_ok=True)
        scores = self._by_samples(lips, folder / f"update-{update:08d}.png")
        scores |= self._by_dubs(lips, folder / f"update-{update:08d}.mp4")
        unet.train()
        return scores

    def _by_samples(self, lips: LipNet, sheet: Path) -> dict[str, float | None]:
        right, wrong, rows = [], [], []
        for number in range(self._config.validation.samples):
            batch = _batch([self._samples[number]], self._vae)
            other = _batch([self._samples[number + self._config.validation.samples]], self._vae)
            made = paint(lips, self._vae, batch, batch.tokens)
            right.append(_lower(made, batch.true))
            wrong.append(_lower(paint(lips, self._vae, batch, other.tokens), batch.true))
            if number < self._config.validation.sheet:
                rows.append(_row(self._vae.decode(batch.reference[:1]), made[:1], batch.true[:1]))
        write_picture(sheet, np.concatenate(rows))
        good, bad = float(np.mean(right)), float(np.mean(wrong))
        return {"lower_l1": good, "lower_l1_wrong_sound": bad, "sound_gain": (bad - good) / max(bad, 1e-9)}

    def _by_dubs(self, lips: LipNet, video: Path) -> dict[str, float | None]:
        """Clips that speak another clip's sound, in the crop, as at inference: the reference is the frame itself."""
        outputs: list[np.ndarray] = []
        truths: list[np.ndarray] = []
        sources: list[np.ndarray] = []
        clips, count = self._samples.clips, self._config.validation.dubs
        for source, sound in pairs(clips, max(1, count)):
            frames = min(clips[source].frames, clips[sound].frames, self._config.validation.dub_frames)
            shown, heard = (self._samples.read(_plain(clip, frames)) for clip in (source, sound))
            batch = _batch([shown], self._vae)
            made = paint(lips, self._vae, batch, heard["tokens"])
            pictures = as_bytes(made)
            if not outputs:
                _write_video(video, np.concatenate([as_bytes(batch.true), pictures], axis=2), clips[sound])
            if not count:
                return {}
            outputs.append(openings(pictures))
            truths.append(_own_opening(clips[sound], frames))
            sources.append(_own_opening(clips[source], frames))
        if not outputs:  # a single clip is held out
            return {}
        scores = dub_scores(outputs, truths, sources)
        named = {"dub": scores.dub, "chance": scores.chance, "leak": scores.leak}
        return {name: None if spread is None else spread.mean for name, spread in named.items()}


def paint(lips: Painter, vae: Autoencoder, batch: Batch, tokens: Tensor) -> Tensor:
    """Pictures (N, 3, S, S) in -1..1 of a batch's faces that say the tokens, made as inference makes them."""
    return in_batches(vae.decode, [in_batches(lips, [batch.masked, batch.reference, tokens], BATCH)], BATCH)


def pairs(clips: list[Clip], count: int) -> list[tuple[int, int]]:
    """Who is dubbed with whose sound: each clip with the next one of the same person, else with the next of all."""
    found = []
    for k, clip in enumerate(clips):
        same = [i for i in range(len(clips)) if i != k and clips[i].person == clip.person]
        rest = [i for i in range(len(clips)) if i != k]
        choice = same or rest
        if choice:
            found.append((k, min(choice, key=lambda i: (i - k) % len(clips))))
    return found[:count]


def _plain(clip: int, frames: int) -> Choice:
    """The first frames of a clip as inference would show them."""
    targets = np.arange(frames)
    margin = FramingOptions().margin_mean
    return Choice(clip, targets, targets, Draw(margin, np.full(frames, margin), 1.0))


def _batch(samples: list[dict[str, Tensor]], vae: Autoencoder) -> Batch:
    from torch.utils.data import default_collate

    raw: Any = default_collate(samples)
    return make_batch(raw, vae, False, torch.device("cpu"))


def _lower(made: Tensor, true: Tensor) -> float:
    half = made.shape[2] // 2
    return float((made[:, :, half:] - true[:, :, half:]).abs().mean())


def _row(*pictures: Tensor) -> np.ndarray:
    """Reference, generated and true face beside each other."""
    return np.concatenate([as_bytes(picture)[0] for picture in pictures], axis=1)


def openings(pictures: np.ndarray) -> np.ndarray:
    """The opening curve of generated faces (N, S, S, 3) uint8; NaN throughout when no face is to be seen."""
    try:
        track = track_faces(ArrayFootage(pictures, RATE), TrackOptions(), CropOptions(), SilentProgress())[0]
    except FaceError:
        return np.full(len(pictures), np.nan)
    return mouth_curves(track).opening


def _own_opening(clip: Clip, frames: int) -> np.ndarray:
    landmarks = read_checkpoint(clip.path).tensors["landmarks"][:frames].numpy().astype(np.float64)
    return mouth_opening(landmarks)


def _write_video(path: Path, pictures: np.ndarray, clip: Clip) -> None:
    checkpoint = read_checkpoint(clip.path)
    begin = float(checkpoint.tensors["times"][0]) - 0.5 / float(RATE) + clip.offset
    first = max(0, round(begin * SPEECH_RATE) - int(checkpoint.header["first_sample"]))
    samples = checkpoint.tensors["sound"][first:].numpy().astype(np.float32) / 32767
    sound = Sound(waveform=samples[None], rate=SPEECH_RATE, cut=Fraction(len(pictures)) / RATE)
    height, width = pictures.shape[1:3]
    clock = ArrayFootage(pictures, RATE).clock
    with VideoWriter(path, width, height, clock, WriteOptions(), sound=sound) as writer:
        writer.write(pictures)
