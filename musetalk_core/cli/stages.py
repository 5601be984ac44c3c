"""Flags that several commands share: which model, which faces, which mask."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from ..errors import OptionError
from ..face.crop import CropOptions
from ..face.mask import MaskOptions
from ..face.options import TrackOptions
from ..face.parse import FaceParser
from ..models.adapter import apply_adapter, load_adapter
from ..models.load import LoadedModel, load_model
from ..models.recipe import RECIPES
from ..models.registry import FolderLocator
from ..options import option_specs
from ..pipeline.avatar import FaceOptions, FaceTools
from ..placement import DtypeName, SingleDevice
from ..video.read import open_footage
from .arguments import add_options, read_options

if TYPE_CHECKING:
    from ..models.recipe import Recipe
    from ..types import Footage

Saved = Mapping[str, Any]  # `Avatar.key`
NOTHING_SAVED: Saved = MappingProxyType({})
MASK_KINDS = next(spec.choices for spec in option_specs(MaskOptions) if spec.name == "kind")


def add_source(parser: argparse.ArgumentParser) -> None:
    """SOURCE and the frame rate of sources that have none."""
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a video, a photo, or a folder of frames")
    parser.add_argument(
        "--fps",
        type=_fraction,
        help="frames a second of a photo or a folder [default: 25]; plays a video at this rate; such as 30000/1001",
    )


def read_source(args: argparse.Namespace) -> Footage:
    """Open what `add_source` named."""
    return open_footage(args.source, args.fps)


def add_networks(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Flags that name the networks."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model", default="nano", help="nano, 1.0, 1.5, a U-Net file, or a model folder [default: nano]"
    )
    group.add_argument(
        "--recipe", choices=tuple(RECIPES), help="what kind of model a U-Net file is, if it does not say"
    )
    group.add_argument("--models-dir", type=Path, help="folder with the released models [default: ~/.musetalk/models]")
    group.add_argument("--vae", type=Path, help="VAE file instead of the model's usual one")
    group.add_argument("--audio-encoder", type=Path, help="Whisper encoder file instead of the model's usual one")
    return group


def add_model(parser: argparse.ArgumentParser) -> None:
    """The same, what dubs may add to them, and where they run."""
    group = add_networks(parser)
    group.add_argument("--adapter", type=Path, help="a person's adapter, made by `musetalk train adapt`")
    group.add_argument("--adapter-strength", type=float, default=1.0, help="how much of it [default: 1]")
    group.add_argument("--parser", type=Path, help="face parser 79999_iter.pth, for the masks jaw, raw and neck")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps [default: auto]")
    group.add_argument("--dtype", default="auto", choices=get_args(DtypeName), help="precision [default: auto]")


def read_networks(args: argparse.Namespace, placement: SingleDevice) -> LoadedModel:
    """Load what `add_networks` named."""
    locator = FolderLocator(args.models_dir)
    return load_model(
        args.model, locator, placement, vae=args.vae, audio_encoder=args.audio_encoder, recipe=args.recipe
    )


def read_model(args: argparse.Namespace) -> tuple[LoadedModel, FaceParser | None]:
    """Load what `add_model` named."""
    placement = SingleDevice(args.device, args.dtype)
    model = read_networks(args, placement)
    if args.adapter is not None:
        apply_adapter(model.lips.network, model.recipe.name, load_adapter(args.adapter), args.adapter_strength)
    return model, None if args.parser is None else FaceParser.load(args.parser, placement)


def add_faces(parser: argparse.ArgumentParser) -> None:
    """Flags that choose the face and cut it out."""
    parser.add_argument(
        "--released",
        action="store_true",
        help="repeat the released code's boxes, sound windows and paste, with their faults, for comparisons",
    )
    parser.add_argument(
        "--face",
        metavar="WHO",
        help="largest, all, a number (0 is the leftmost), or a point X,Y on the face, in pixels [default: largest]",
    )
    add_options(parser, "finding faces", TrackOptions, skip=("selection", "index", "point_x", "point_y"))
    add_options(parser, "cropping", CropOptions, skip=("released",), by_model=("chin_margin",))


def read_faces(
    args: argparse.Namespace, recipe: Recipe | None = None, saved: Saved = NOTHING_SAVED
) -> tuple[TrackOptions, CropOptions]:
    """The options of `add_faces`; those that the user left open are those of a saved avatar, else the model's own."""
    who = {} if args.face is None else _who(args.face)
    crop = {} if recipe is None else {"chin_margin": recipe.chin_margin}
    crop |= saved.get("crop", {})
    if args.released:
        crop["released"] = True
    return read_options(args, TrackOptions, {**saved.get("track", {}), **who}), read_options(args, CropOptions, crop)


def add_mask(parser: argparse.ArgumentParser) -> None:
    """Flags that shape the mask."""
    parser.add_argument(
        "--mask",
        metavar="KIND",
        help=f"{', '.join(MASK_KINDS)}, or a picture: white where the mouth may change [default: landmarks]",
    )
    cheeks = ("left_cheek_width", "right_cheek_width")
    add_options(parser, "masking", MaskOptions, skip=("kind",), by_model=cheeks)


def read_mask(
    args: argparse.Namespace, footage: Footage, recipe: Recipe | None = None, saved: Saved = NOTHING_SAVED
) -> tuple[MaskOptions, np.ndarray | None]:
    """The options of `add_mask`, and the mask that the user drew: (H, W) in 0..1 of the footage's size, or None."""
    chosen: dict[str, object] = {}
    if recipe is not None:
        chosen = {"left_cheek_width": recipe.cheek_width, "right_cheek_width": recipe.cheek_width}
    chosen |= saved.get("mask", {})
    if args.mask is None:
        return read_options(args, MaskOptions, chosen), None
    if args.mask in MASK_KINDS:
        return read_options(args, MaskOptions, {**chosen, "kind": args.mask}), None
    path = Path(args.mask)
    if not path.exists():
        raise OptionError(f"--mask {args.mask} is no file.", f"Use {', '.join(MASK_KINDS)}, or a picture.")
    drawn = _read_picture(path)
    if drawn.shape != (footage.height, footage.width):
        raise OptionError(
            f"The mask {path} is {drawn.shape[1]}x{drawn.shape[0]} pixels, {args.source} is "
            f"{footage.width}x{footage.height}.",
            "Give a mask of the source's size.",
        )
    return read_options(args, MaskOptions, chosen), drawn


def read_tools(
    args: argparse.Namespace,
    footage: Footage,
    model: LoadedModel,
    parser: FaceParser | None,
    saved: Saved = NOTHING_SAVED,
) -> FaceTools:
    """The tools that make avatars, from the flags of `add_faces` and `add_mask`.

    Args:
        args: parsed flags.
        footage: what they are for; a mask that the user drew must have its size.
        model: gives the defaults of flags that were left out.
        parser: finds the parts of a face, for masks that need it.
        saved: key of an avatar whose options stand where flags were left out.
    """
    mask, drawn = read_mask(args, footage, model.recipe, saved)
    options = FaceOptions(*read_faces(args, model.recipe, saved), mask)
    return FaceTools(model.vae, model.recipe, options, parser, drawn)


def _who(word: str) -> dict[str, object]:
    if word in ("largest", "all"):
        return {"selection": word}
    if word.isdecimal():
        return {"selection": "index", "index": int(word)}
    x, comma, y = word.partition(",")
    if comma and x.strip().isdecimal() and y.strip().isdecimal():
        return {"selection": "point", "point_x": int(x), "point_y": int(y)}
    raise OptionError(
        f"--face {word!r} names no face.", "Use largest, all, a number such as 0, or a point such as 640,360."
    )


def _read_picture(path: Path) -> np.ndarray:
    picture = open_footage(path).read([0])[0]
    return np.asarray(picture.mean(axis=2, dtype=np.float32) / 255)


def _fraction(text: str) -> Fraction:
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no frame rate") from error
    if not 0 < rate <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no frame rate between 0 and 1000")
    return rate
