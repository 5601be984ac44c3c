"""Draw the pictures of the nodes' help pages, from what the library does: web/docs/*.svg and *.png.

python scripts/draw_help.py
"""

from __future__ import annotations

import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image, ImageDraw, ImageFont

REPO = Path(__file__).resolve().parents[1]
if str(REPO) not in sys.path:
    sys.path.insert(0, str(REPO))  # so that the script runs from a checkout that is not installed

from musetalk_core.face.crop import CropOptions  # noqa: E402
from musetalk_core.face.mask import MaskOptions  # noqa: E402
from musetalk_core.face.options import TrackOptions  # noqa: E402
from musetalk_core.face.track import track_faces  # noqa: E402
from musetalk_core.pipeline.faces import mask_frames  # noqa: E402
from musetalk_core.portraits.footage import portrait_footage  # noqa: E402
from musetalk_core.progress import SilentProgress  # noqa: E402
from musetalk_core.timeline import Clock, SyncMode, plan  # noqa: E402
from musetalk_core.types import FaceTrack  # noqa: E402

PAGES = REPO / "web" / "docs"
DARK, PANEL, LIGHT, DIM, CORAL, TEAL = "#1f2030", "#34364d", "#f4f1ea", "#8b8da6", "#ff6f61", "#4fb3a5"
FRAMES = 5  # of the drawn footage
SOUNDS = {"sound longer (8 frames)": 8, "sound shorter (3 frames)": 3}
CELL, GAP = 30, 4  # pixels of a frame's box
SEED = 11  # of the drawn person
SIDE = 300  # pixels of a picture of the drawn person


def main() -> None:
    """Draw all of them."""
    PAGES.mkdir(parents=True, exist_ok=True)
    (PAGES / "sync_modes.svg").write_text(sync_modes(), encoding="utf-8", newline="\n")
    (PAGES / "chain.svg").write_text(chain(), encoding="utf-8", newline="\n")
    footage = portrait_footage(SEED, 0.04, width=512, height=512, faults=0)
    frame = footage.read([0])[0]

    def track(crop: CropOptions) -> FaceTrack:
        return track_faces(footage, TrackOptions(), crop, SilentProgress())[0]

    crops = {
        "default": CropOptions(),
        "bbox_shift 30": CropOptions(bbox_shift=30),
        "extra_margin 40": CropOptions(chin_margin=40 / 246),
    }
    sheet({name: crop_picture(frame, track(crop).boxes[0]) for name, crop in crops.items()}).save(
        PAGES / "crop_box.png", optimize=True
    )
    default = MaskOptions()
    masks = {
        "landmarks": default,
        "mouth": replace(default, kind="mouth"),
        "expand 0.1": replace(default, expand=0.1),
        "mask_blur 0.3": replace(default, feather=0.3),
    }
    face = track(CropOptions())
    sheet({name: mask_picture(frame, mask_frames(face, options)[0]) for name, options in masks.items()}).save(
        PAGES / "masks.png", optimize=True
    )


def sync_modes() -> str:
    """What each sync_mode shows, frame by frame, as `timeline.plan` lays it."""
    left, top, row = 110, 92, 46
    columns = {name: left + i * (max(SOUNDS.values()) * (CELL + GAP) + 40) for i, name in enumerate(SOUNDS)}
    modes = get_args(SyncMode)
    width, height = max(columns.values()) + 8 * (CELL + GAP) - 60, top + len(modes) * row + 52
    parts = [text(16, 34, "footage", DIM), *boxes(left, 14, [(i + 1, TEAL) for i in range(FRAMES)])]
    for name, count in SOUNDS.items():
        x = columns[name]
        parts += [text(x, 74, name, LIGHT), rect(x, 80, count * (CELL + GAP) - GAP, 4, CORAL)]
    clock = Clock.regular(FRAMES, Fraction(25))
    for number, mode in enumerate(modes):
        y = top + number * row
        parts.append(text(16, y + 20, mode, LIGHT))
        for name, count in SOUNDS.items():
            line = plan(clock, Fraction(count, 25), mode)
            colours = [CORAL if i < count else TEAL if i >= line.driven else DIM for i in range(len(line))]
            parts += boxes(columns[name], y, [(int(s) + 1, c) for s, c in zip(line.source, colours, strict=True)])
    x, y = 110, height - 22
    for colour, what in ((CORAL, "speaks"), (TEAL, "own mouth, untouched"), (DIM, "mouth closed")):
        parts += [rect(x, y - 11, 14, 14, colour), text(x + 20, y + 1, what, LIGHT)]
        x += 40 + 8 * len(what)
    return svg(width, height, parts)


def boxes(x: int, y: int, frames: list[tuple[int, str]]) -> list[str]:
    """Frames as numbered boxes."""
    found = []
    for i, (number, colour) in enumerate(frames):
        at = x + i * (CELL + GAP)
        found += [rect(at, y, CELL, CELL, colour), text(at + CELL / 2, y + 20, str(number), DARK, "middle")]
    return found


def chain() -> str:
    """The single nodes, and what flows between them."""
    places = {
        "Track Faces": (20, 30), "Mask Faces": (200, 30),
        "Crop Faces": (200, 110), "Encode Faces": (380, 110), "Generate Lips": (560, 110), "Decode Faces": (740, 110),
        "Blend Faces": (740, 30), "Encode Audio": (380, 190),
    }  # fmt: skip
    flows = [
        ("Track Faces", "Mask Faces"), ("Track Faces", "Crop Faces"), ("Crop Faces", "Encode Faces"),
        ("Encode Faces", "Generate Lips"), ("Generate Lips", "Decode Faces"), ("Decode Faces", "Blend Faces"),
        ("Mask Faces", "Blend Faces"), ("Encode Audio", "Generate Lips"),
    ]  # fmt: skip
    wide, high = 130, 44
    parts = []
    for start, end in flows:
        (x1, y1), (x2, y2) = places[start], places[end]
        if x1 == x2:
            path = f"M {x1 + wide / 2} {y1} L {x2 + wide / 2} {y2 + high}"
        else:
            a, b, c, d = x1 + wide, y1 + high / 2, x2, y2 + high / 2
            path = f"M {a} {b} C {(a + c) / 2} {b} {(a + c) / 2} {d} {c} {d}"
        parts.append(f'<path d="{path}" fill="none" stroke="{CORAL}" stroke-width="2.5"/>')
    for name, (x, y) in places.items():
        parts += [rect(x, y, wide, high, PANEL), text(x + wide / 2, y + 27, name, LIGHT, "middle")]
    notes = {(20, 22): "frames", (380, 250): "sound", (880, 57): "frames"}
    parts += [text(x, y, word, DIM) for (x, y), word in notes.items()]
    return svg(940, 264, parts)


def rect(x: float, y: float, width: float, height: float, colour: str) -> str:
    """A box with round corners."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" fill="{colour}"/>'


def text(x: float, y: float, words: str, colour: str, anchor: str = "start") -> str:
    """A line of text."""
    return f'<text x="{x:g}" y="{y:g}" fill="{colour}" text-anchor="{anchor}">{words}</text>'


def svg(width: int, height: int, parts: list[str]) -> str:
    """A whole picture on a dark ground."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
    body = "\n".join([rect(0, 0, width, height, DARK), *parts])
    return f'{head} font-size="15">\n{body}\n</svg>\n'


def crop_picture(frame: np.ndarray, box: np.ndarray) -> Image.Image:
    """A frame with its crop box, the half that the model fills made dark."""
    x1, y1, x2, y2 = (int(v) for v in box)
    shade = Image.new("RGBA", (frame.shape[1], frame.shape[0]))
    draw = ImageDraw.Draw(shade)
    draw.rectangle((x1, (y1 + y2) // 2, x2, y2), fill=(20, 20, 35, 170))
    draw.rectangle((x1, y1, x2, y2), outline=CORAL, width=5)
    return Image.alpha_composite(Image.fromarray(frame).convert("RGBA"), shade).convert("RGB")


def mask_picture(frame: np.ndarray, mask: np.ndarray) -> Image.Image:
    """A frame with its mask laid over it in colour."""
    tint = np.array([255, 111, 97], np.float32)
    share = 0.7 * mask[..., None]
    return Image.fromarray((frame * (1 - share) + tint * share).astype(np.uint8))


def sheet(pictures: dict[str, Image.Image]) -> Image.Image:
    """Pictures side by side, each with its name above it."""
    head, font = 34, ImageFont.load_default(18)
    page = Image.new("RGB", (len(pictures) * (SIDE + 8) + 8, SIDE + head + 8), DARK)
    draw = ImageDraw.Draw(page)
    for i, (name, picture) in enumerate(pictures.items()):
        x = 8 + i * (SIDE + 8)
        page.paste(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (x, head))
        draw.text((x + 4, 7), name, LIGHT, font)
    return page.quantize(96, dither=Image.Dither.FLOYDSTEINBERG)


if __name__ == "__main__":
    main()
