"""The avatar: all of a dub that needs no speech. Computed once per footage, saved, reused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import AvatarError, ModelError, OptionError
from ..face.crop import CropOptions
from ..face.mask import PARSED_KINDS, MaskOptions, mask_from_user
from ..face.options import TrackOptions
from ..face.track import track_faces
from ..lips.encode import encode_faces
from ..models.checkpoint import read_checkpoint, save_safetensors
from ..models.recipe import FACE_SIZE
from ..progress import Progress, SilentProgress
from ..timeline import Clock
from ..types import FaceTrack, Footage, MaskPatch, all_frames
from ..video.read import ArrayFootage
from .faces import crop_faces, frame_mask, require_masks

if TYPE_CHECKING:
    import torch

    from ..face.parse import FaceParser
    from ..models.recipe import Recipe
    from ..models.vae import Autoencoder

FORMAT = "musetalk-avatar"
VERSION = 1
TRACK_FIELDS = ("found", "landmarks", "boxes", "roll", "strength", "skip")


@dataclass(frozen=True, slots=True, eq=False)
class FacePart:
    """What one source frame gives to every dub of it.

    Args:
        masked, reference: (4, h, w) float16, unscaled latents of the crop with and without its hidden lower half.
        mask: where the new mouth shows.
    """

    masked: torch.Tensor
    reference: torch.Tensor
    mask: MaskPatch


@dataclass(frozen=True, slots=True)
class FaceOptions:
    """Everything that decides how faces are found, cropped and masked."""

    track: TrackOptions = field(default_factory=TrackOptions)
    crop: CropOptions = field(default_factory=CropOptions)
    mask: MaskOptions = field(default_factory=MaskOptions)


@dataclass(frozen=True, slots=True, eq=False)
class FaceTools:
    """What turns a source frame into a face part.

    Args:
        vae: encodes the crops.
        recipe: the model that will speak; None where that is open: all see crops of one size.
        options: how faces are cropped and masked.
        parser: needed for the masks "jaw", "raw" and "neck".
        user_mask: (H, W), or (N, H, W) with one for each frame, float32 in 0..1, that replaces our mask.

    Raises:
        ModelError: the chosen mask needs a face parser and none is there.
    """

    vae: Autoencoder
    recipe: Recipe | None = None
    options: FaceOptions = field(default_factory=FaceOptions)
    parser: FaceParser | None = None
    user_mask: np.ndarray | None = None

    def __post_init__(self) -> None:
        kind = self.options.mask.kind
        if kind in PARSED_KINDS and self.parser is None and self.user_mask is None:
            raise ModelError(
                f"The mask {kind!r} needs the face parser 79999_iter.pth, which is not here.",
                "Give it (node: MuseTalk Load Face Parser; command line: --parser), or take the mask 'landmarks'.",
            )
        if self.options.crop.bbox_shift and self.recipe and not self.recipe.bbox_shift:
            raise OptionError(f"{self.recipe.title} has no bbox_shift.", "Leave it at 0; only MuseTalk 1.0 has it.")

    @property
    def face_size(self) -> int:
        """Pixels a side of the crops."""
        return self.recipe.face_size if self.recipe else FACE_SIZE

    def key(self, footage: Footage, track: FaceTrack | None = None) -> dict[str, Any]:
        """What an avatar of this footage, made with these tools, depends on: equal keys, equal avatars.

        Args:
            footage: the frames.
            track: the face, when it was not found with these tools' options.
        """
        mask = None if self.user_mask is None else sha256(self.user_mask.tobytes()).hexdigest()
        key = {
            "source": footage.digest(),
            "vae": self.vae.identity,
            "face_size": self.face_size,
            "parser": None if self.parser is None else self.parser.identity,
            "user_mask": mask,
            **dataclasses.asdict(self.options),
        }
        if track is not None:
            found = b"".join(np.ascontiguousarray(getattr(track, name)).tobytes() for name in TRACK_FIELDS)
            key |= {"track": sha256(found).hexdigest(), "crop": None}
        return dict(json.loads(json.dumps(key)))  # as it reads back from a file: tuples are lists


@dataclass(frozen=True, slots=True, eq=False)
class Avatar:
    """One person of one piece of footage, ready to speak.

    Args:
        track: where the face is.
        key: what it was made from (`FaceTools.key`); empty until it is made to be kept (`make_avatar`).
        clock: times of the N source frames.
        parts: by source frame; frames without a part get theirs when they are first shown.
        frames: (N, H, W, 3) uint8, the footage itself, only when asked for.
    """

    track: FaceTrack
    key: Mapping[str, Any]
    clock: Clock
    parts: Mapping[int, FacePart] = field(default_factory=dict)
    frames: np.ndarray | None = None

    def footage(self) -> ArrayFootage:
        """The embedded frames.

        Raises:
            AvatarError: none are embedded.
        """
        if self.frames is None:
            raise AvatarError("This avatar holds no frames.", "Give its footage, or make it again with its frames.")
        return ArrayFootage(self.frames, self.clock.fps)


def find_faces(footage: Footage, tools: FaceTools, progress: Progress | None = None) -> list[Avatar]:
    """Track the chosen people of some footage; nothing is encoded yet.

    Raises:
        FaceError: no face was found, or not the one that was asked for.
        OptionError: the tools' masks are for other footage.
    """
    require_masks(tools.user_mask, len(footage.clock), footage.height, footage.width)
    options = tools.options
    tracks = track_faces(footage, options.track, options.crop, progress or SilentProgress())
    return [Avatar(track, {}, footage.clock) for track in tracks]  # a key reads the whole footage again


def make_parts(
    frames: Sequence[np.ndarray], crops: np.ndarray, indices: Sequence[int], track: FaceTrack, tools: FaceTools
) -> list[FacePart]:
    """Encode and mask some source frames.

    Args:
        frames: n of (H, W, 3).
        crops: (n, size, size, 3), the faces in them (`crop_faces`).
        indices: n numbers of these frames in the track.
        track: the face.
        tools: VAE, options, parser.
    """
    latents = encode_faces(crops, tools.vae, len(crops))
    masks = [_mask(frame, i, track, tools) for frame, i in zip(frames, indices, strict=True)]
    masked, reference = latents.masked.half(), latents.reference.half()
    return [FacePart(*part) for part in zip(masked, reference, masks, strict=True)]


def make_avatar(
    footage: Footage,
    avatar: Avatar,
    tools: FaceTools,
    *,
    embed_frames: bool = False,
    batch_size: int = 8,
    progress: Progress | None = None,
) -> Avatar:
    """Encode and mask every frame on which the avatar's mouth can show.

    Args:
        footage: the frames it was found in.
        avatar: one result of `find_faces`.
        tools: the same as for `find_faces`.
        embed_frames: keep the frames too (memory and file size: all of them, uncompressed).
        batch_size: crops per network call.
        progress: reports frames.
    """
    require_masks(tools.user_mask, len(footage.clock), footage.height, footage.width)
    report = progress or SilentProgress()
    visible = [int(i) for i in np.flatnonzero(avatar.track.strength > 0)]
    parts: dict[int, FacePart] = {}
    report.start("encoding faces", len(visible))
    for start in range(0, len(visible), batch_size):
        indices = visible[start : start + batch_size]
        pictures = footage.read(indices)
        crops = crop_faces(list(pictures), indices, avatar.track, tools.face_size)
        parts.update(zip(indices, make_parts(list(pictures), crops, indices, avatar.track, tools), strict=True))
        report.advance(len(indices))
    frames = _as_bytes(all_frames(footage, "embedding frames", report)) if embed_frames else None
    return dataclasses.replace(avatar, key=avatar.key or tools.key(footage), parts=parts, frames=frames)


def save_avatar(avatar: Avatar, path: Path) -> None:
    """Write an avatar as one safetensors file; the name appears when the file is whole."""
    import torch

    track, parts = avatar.track, avatar.parts
    numbers = sorted(parts)
    tensors = {f"track.{name}": torch.from_numpy(np.ascontiguousarray(getattr(track, name))) for name in TRACK_FIELDS}
    tensors["clock.ticks"] = torch.from_numpy(avatar.clock.ticks)
    tensors["parts.frame"] = torch.tensor(numbers, dtype=torch.int64)
    if numbers:
        tensors["parts.masked"] = torch.stack([parts[i].masked for i in numbers])
        tensors["parts.reference"] = torch.stack([parts[i].reference for i in numbers])
        masks = [parts[i].mask for i in numbers]
        tensors["mask.place"] = torch.tensor([(m.x, m.y, *m.alpha.shape) for m in masks], dtype=torch.int64)
        tensors["mask.alpha"] = torch.from_numpy(np.concatenate([m.alpha.ravel() for m in masks]))
    if avatar.frames is not None:
        tensors["frames"] = torch.from_numpy(avatar.frames)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "width": track.width,
        "height": track.height,
        "time_base": str(avatar.clock.time_base),
        "key": dict(avatar.key),
    }
    save_safetensors(path, tensors, header)


def load_avatar(path: Path) -> Avatar:
    """Read an avatar.

    Raises:
        AvatarError: the file is no avatar, or one of another version.
    """
    checkpoint = read_checkpoint(path)
    header, tensors = checkpoint.header, checkpoint.tensors
    if header.get("format") != FORMAT:
        raise AvatarError(f"{path} is not an avatar.", "Make one with `musetalk avatar make`.")
    if header.get("version") != VERSION:
        raise AvatarError(
            f"{path} is an avatar of version {header.get('version')}; this program reads {VERSION}.", "Make it again."
        )
    arrays = {name: tensors[f"track.{name}"].numpy() for name in TRACK_FIELDS}
    track = FaceTrack(**arrays, width=header["width"], height=header["height"])
    clock = Clock(tensors["clock.ticks"].numpy(), Fraction(header["time_base"]))
    frames = tensors["frames"].numpy() if "frames" in tensors else None
    return Avatar(track, header["key"], clock, _read_parts(tensors), frames)


def require_match(avatar: Avatar, wanted: Mapping[str, Any], name: str) -> None:
    """Refuse an avatar that was made from other footage, by another model or with other options.

    Args:
        avatar: what was loaded.
        wanted: `FaceTools.key` of what is about to be used.
        name: the avatar's file, for the message.

    Raises:
        AvatarError: the keys differ; says in what.
    """
    different = [part for part in wanted if avatar.key.get(part) != wanted[part]]
    if different:
        raise AvatarError(
            f"The avatar {name} does not fit: it was made with another {', '.join(different)}.",
            "Make it again with `musetalk avatar make`, or use the footage and options it was made with.",
        )


def _as_bytes(frames: np.ndarray) -> np.ndarray:
    return frames if frames.dtype == np.uint8 else np.rint(np.clip(frames, 0, 1) * 255).astype(np.uint8)


def _read_parts(tensors: Mapping[str, torch.Tensor]) -> dict[int, FacePart]:
    numbers = tensors["parts.frame"].tolist()
    if not numbers:
        return {}
    alpha, offset, parts = tensors["mask.alpha"].numpy(), 0, {}
    rows: Iterable[tuple[int, int, int, int]] = tensors["mask.place"].tolist()
    for at, (number, (x, y, height, width)) in enumerate(zip(numbers, rows, strict=True)):
        patch = alpha[offset : offset + height * width].reshape(height, width)
        offset += height * width
        parts[number] = FacePart(tensors["parts.masked"][at], tensors["parts.reference"][at], MaskPatch(x, y, patch))
    return parts


def _mask(frame: np.ndarray, index: int, track: FaceTrack, tools: FaceTools) -> MaskPatch:
    drawn = tools.user_mask
    if drawn is not None:
        return mask_from_user(drawn[index] if drawn.ndim == 3 else drawn, track, index)
    return frame_mask(frame, index, track, tools.options.mask, tools.parser)
