"""Training samples: sample `k` of a run depends on the seed and on `k` alone.

So there is no position to save but a number, nothing that workers could race for, and any number of processes draws the
same samples as one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import MediaError
from ..face.crop import crop_face, round_edges
from ..face.look import Look, LookOptions, apply_look, draw_look
from ..face.points import LIPS_INNER_68, LIPS_OUTER_68, points68
from ..models.checkpoint import read_checkpoint
from ..options import Options, option
from .balance import Clip, clip_weights, limited
from .cutting import FORMAT as CLIP_FORMAT
from .cutting import RATE, read_json
from .framing import Draw, Framing, FramingOptions, draw_framing, frame_segment, in_crop
from .hearing import clip_mel, clip_tokens
from .latents import LatentStore
from .prepare import FORMAT, VERSION
from .sampling import SamplingOptions, Shapes, draw_references, draw_run, segment_shapes

if TYPE_CHECKING:
    import torch

LIPS_68 = (*LIPS_OUTER_68, *LIPS_INNER_68)  # all 20
CLIPS_KEPT = 512  # geometries in memory: 1 MB each


@dataclass(frozen=True, slots=True)
class DataOptions(Options):
    """What samples are made of."""

    folder: str = option("", "dataset folder of `musetalk train prepare`")
    frames: int = option(1, "frames of a sample in a row; at least the SyncNet's window when its loss is on", low=1)
    generated: int = option(
        0,
        "frames of a sample that are generated, a random run of them: the SyncNet sees the true pictures around it; "
        "saves memory where its window is long; 0 generates all, as the released models were trained",
        low=0,
    )
    face_size: int = option(256, "side of the crops", low=32, high=1024, unit="px")
    balance: Literal["frames", "people"] = option(
        "frames", "what is drawn evenly: every frame, or every person whatever there is of them"
    )
    shares: str = option("", "shares of the samples for some people, the rest for the others: 's1=0.3, portrait_*=0.2'")
    most_seconds: float = option(
        0.0, "length of the clips of one person that are used, at most; 0 uses all", low=0.0, unit="s"
    )
    views: int = option(
        0,
        "encode every clip once in so many fixed views of margin, scale and look, and train on stored latents: for "
        "small networks, which would wait for the VAE; 0 encodes fresh crops all the time",
        low=0,
        high=64,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """Where things lie in a clip: landmarks (N, 68, 2) in pixels of the stored pictures, framing, shapes, times."""

    landmarks: np.ndarray
    framing: Framing
    shapes: Shapes
    header: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What sample `k` shows.

    Args:
        clip: number of the clip.
        targets, references: (T,) frames.
        draw: margins and scale.
        look: of all its pictures.
        window: frames that the SyncNet sees, where they are more than the targets; else empty.
        views: (T + 1,) stored views of the references and, last, of the targets; empty without stored latents.
    """

    clip: int
    targets: np.ndarray
    references: np.ndarray
    draw: Draw
    look: Look = field(default_factory=Look)
    views: tuple[int, ...] = ()
    window: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))


def open_clips(folder: Path, split: Literal["train", "validation"]) -> tuple[list[Clip], str]:
    """All clips of one side of the split, and the identity of the sound encoder that heard them.

    Raises:
        MediaError: no dataset there, of another version, or nobody on this side.
    """
    index = read_json(folder / "dataset.json")
    if index is None or index.get("format") != FORMAT:
        raise MediaError(f"{folder} holds no dataset.", "Make one with `musetalk train prepare`.")
    if index.get("version") != VERSION:
        raise MediaError(f"{folder} was prepared by another version.", "Prepare it again.")
    clips = [
        Clip(folder / video["folder"] / clip["file"], int(clip["frames"]), video["person"], video["offset_ms"] / 1000)
        for video in index["videos"]
        if video["refused"] is None and video["split"] == split
        for clip in video["clips"]
    ]
    if not clips:
        raise MediaError(f"{folder} has nobody for {split}.", "Prepare footage of at least two people.")
    return clips, str(index["encoder"])


class Samples:
    """Samples by number; can be handed to torch's DataLoader.

    Args:
        clips: of `open_clips`.
        data: length, size, balance.
        framing: margins and jitter.
        look: changes of colour and sharpness.
        sampling: how references are drawn.
        seed: another seed, other samples.
        rows: rows of the SyncNet's spectrum; 0 leaves it out.
        store: latents that were computed before; None cuts fresh crops.

    Raises:
        MediaError: no clip is long enough.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        data: DataOptions,
        framing: FramingOptions,
        look: LookOptions,
        sampling: SamplingOptions,
        seed: int,
        rows: int = 0,
        store: LatentStore | None = None,
    ) -> None:
        least = max(2, data.frames)
        self.clips = limited([clip for clip in clips if clip.frames >= least], round(data.most_seconds * RATE))
        if not self.clips:
            raise MediaError(f"No clip has {least} frames.", "Prepare longer clips, or train with fewer frames.")
        self._data, self._framing, self._look, self._sampling = data, framing, look, sampling
        self._seed, self._rows, self._store = seed, rows, store
        self._weights = np.cumsum(clip_weights(self.clips, data.frames, data.balance, data.shares))
        self._known: OrderedDict[int, Geometry] = OrderedDict()

    def choose(self, number: int) -> Choice:
        """What sample `number` shows."""
        random = np.random.default_rng((self._seed, number))
        clip = int(np.searchsorted(self._weights, random.random() * self._weights[-1], side="right"))
        first = int(random.integers(self.clips[clip].frames - self._data.frames + 1))
        window = np.arange(first, first + self._data.frames)
        targets = draw_run(window, self._data.generated, random)
        choice = self._choose(clip, targets, random)
        return choice if len(targets) == len(window) else replace(choice, window=window)

    def _choose(self, clip: int, targets: np.ndarray, random: np.random.Generator) -> Choice:
        geometry = self.geometry(clip)
        references = draw_references(geometry.shapes, targets, self._sampling, random)
        if self._store is None:
            draw = draw_framing(self._framing, len(targets), random)
            return Choice(clip, targets, references, draw, draw_look(self._look, random))
        views = self._store.choose(len(targets), random)
        return Choice(clip, targets, references, *self._store.draw(self.clips[clip].path, views[-1]), views)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        """Sample `number`.

        Returns:
            targets: (T, S, S, 3) uint8; tokens: (T, 50, D) float32; lips: (T, 20, 2) float32, pixels of the target
            crops; mel: (80, rows) float32; either references: (T, S, S, 3) uint8, or, with stored latents, latents:
            (T, 3, 4, h, w) float32 unscaled: masked target, reference, target; and, where the SyncNet sees more than
            the targets, window: (W, S, S, 3) uint8 and first: () int64, the targets' place in it.
        """
        return self.read(self.choose(number))

    def read(self, choice: Choice) -> dict[str, torch.Tensor]:
        """The pictures and sounds of a choice."""
        import torch

        geometry, size = self.geometry(choice.clip), self._data.face_size
        edges = geometry.framing.edges(choice.targets, choice.draw.margin, choice.draw.scale)
        lips = in_crop(geometry.landmarks[choice.targets][:, LIPS_68], edges, size)
        if choice.look.mirror:
            lips[..., 0] = size - lips[..., 0]
        clip = self.clips[choice.clip]
        file = _open(clip.path)
        begin = int(choice.window[0] if len(choice.window) else choice.targets[0])
        return {
            **self._references(file, choice, geometry),
            **self._around(file, choice, geometry),
            "targets": torch.from_numpy(_crops(file, choice.targets, edges, size, choice.look)),
            "tokens": clip_tokens(file, choice.targets, clip.offset, geometry.header),
            "lips": torch.from_numpy(lips.astype(np.float32)),
            "mel": torch.from_numpy(clip_mel(file, begin, clip.offset, self._rows, geometry.header)),
        }

    def _around(self, file: Any, choice: Choice, geometry: Geometry) -> dict[str, torch.Tensor]:
        """The SyncNet's window of true pictures, where it is longer than the targets."""
        import torch

        if not len(choice.window):
            return {}
        edges = geometry.framing.edges(choice.window, choice.draw.margin, choice.draw.scale)
        crops = _crops(file, choice.window, edges, self._data.face_size, choice.look)
        return {"window": torch.from_numpy(crops), "first": torch.tensor(int(choice.targets[0] - choice.window[0]))}

    def heard(self, number: int) -> torch.Tensor:
        """The sound tokens of sample `number`, (T, 50, D)."""
        choice = self.choose(number)
        clip, header = self.clips[choice.clip], self.geometry(choice.clip).header
        return clip_tokens(_open(clip.path), choice.targets, clip.offset, header)

    def _references(self, file: Any, choice: Choice, geometry: Geometry) -> dict[str, torch.Tensor]:
        """Crops of the references, or the stored latents of targets and references."""
        import torch

        if self._store is None or not choice.views:
            edges = geometry.framing.edges(choice.references, choice.draw.margins, choice.draw.scale)
            crops = _crops(file, choice.references, edges, self._data.face_size, choice.look)
            return {"references": torch.from_numpy(crops)}
        path = self.clips[choice.clip].path
        targets = self._store.read(path, choice.views[-1], choice.targets.tolist())  # (T, 2, 4, h, w)
        found = [
            self._store.read(path, view, [int(frame)])[0, 1]
            for view, frame in zip(choice.views, choice.references, strict=False)
        ]
        return {"latents": torch.stack([targets[:, 0], torch.stack(found), targets[:, 1]], dim=1)}

    def faces(self, choice: Choice) -> torch.Tensor:
        """The target crops alone, (T, S, S, 3) uint8."""
        import torch

        edges = self.geometry(choice.clip).framing.edges(choice.targets, choice.draw.margin, choice.draw.scale)
        file = _open(self.clips[choice.clip].path)
        return torch.from_numpy(_crops(file, choice.targets, edges, self._data.face_size, choice.look))

    def mels(self, choice: Choice, firsts: Sequence[int]) -> torch.Tensor:
        """The spectra of windows that begin with some of a choice's targets, (M, 80, rows) float32."""
        import torch

        clip, header = self.clips[choice.clip], self.geometry(choice.clip).header
        file = _open(clip.path)
        begins = choice.targets[list(firsts)].tolist()
        return torch.from_numpy(np.stack([clip_mel(file, k, clip.offset, self._rows, header) for k in begins]))

    def geometry(self, clip: int) -> Geometry:
        """Where things lie in a clip; the last few hundred are remembered."""
        if clip not in self._known:
            self._known[clip] = _read_geometry(self.clips[clip].path, self._sampling)
            if len(self._known) > CLIPS_KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(clip)
        return self._known[clip]


def _read_geometry(path: Path, options: SamplingOptions) -> Geometry:
    checkpoint = read_checkpoint(path)
    if checkpoint.header.get("format") != CLIP_FORMAT:
        raise MediaError(f"{path} is no training clip.", "Prepare the dataset again.")
    landmarks = points68(checkpoint.tensors["landmarks"].numpy()).astype(np.float64)
    framing = frame_segment(landmarks)
    return Geometry(landmarks, framing, segment_shapes(landmarks, framing, options.pose), checkpoint.header)


def _open(path: Path) -> Any:
    """A clip's file, of which single frames can be read without the rest."""
    from safetensors import safe_open

    return safe_open(str(path), framework="np")


def _crops(file: Any, frames: np.ndarray, edges: np.ndarray, size: int, look: Look) -> np.ndarray:
    """(T, size, size, 3) uint8, cut as inference cuts: whole pixels, then one resize; then the look."""
    pictures = file.get_slice("faces")
    crops = np.empty((len(frames), size, size, 3), np.uint8)
    for slot, (frame, box) in enumerate(zip(frames, round_edges(edges), strict=True)):
        crops[slot] = apply_look(crop_face(pictures[int(frame)], box, 0.0, size), look, int(frame))
    return crops
