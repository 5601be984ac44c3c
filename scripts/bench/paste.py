"""What it costs to put a mouth back into a 1080p frame, against the usual paste of whole frames.

    python scripts/bench/paste.py [--rounds 60]

The baseline is the released way: the frame becomes a Pillow image, the square around the face is cut, the mouth pasted,
the square pasted back through the blurred mask, and the image becomes an array again; its mask is cached, as ours is.
Ours and the baseline take turns; medians of one core's time, so that a busy machine changes little. The difference is
taken against the released mode, which does the same sums.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
from PIL import Image

from musetalk_core.face.crop import crop_face
from musetalk_core.face.mask import MaskOptions, mask_face
from musetalk_core.face.parse import PARSE_SIZE, parse_square
from musetalk_core.render.blend import BlendOptions, blend_face
from musetalk_core.render.color import match_color
from musetalk_core.types import FaceTrack, MaskPatch

WIDTH, HEIGHT = 1920, 1080
BOX = np.array([810, 330, 1110, 700])  # a face 300 pixels wide
POINTS = 68


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    cv2.setNumThreads(1)
    torch.set_num_threads(1)

    rng = np.random.default_rng(0)
    frame = cv2.resize(rng.integers(0, 256, (108, 192, 3), dtype=np.uint8), (WIDTH, HEIGHT))
    mouth = cv2.resize(rng.uniform(0, 1, (32, 32, 3)).astype(np.float32), (256, 256))
    track, parse_map = face_track(), class_map()
    jaw = MaskOptions(kind="jaw", feather=0.05)
    released_mask, mask = mask_face(track, 0, jaw, parse_map), mask_face(track, 0, MaskOptions())
    pillow_mask = square_mask(released_mask)

    target = frame.copy()
    ours, released = BlendOptions(), BlendOptions(mode="released")
    crop = crop_face(frame, BOX, 0.0, 256)

    def everything() -> None:
        source = crop_face(target, BOX, 0.0, 256)
        blend_face(target, match_color(mouth, source), BOX, 0.0, mask_face(track, 0, MaskOptions()), 1.0, ours)

    work: dict[str, Callable[[], object]] = {
        "baseline: whole-frame Pillow paste": lambda: pillow_paste(frame, mouth, pillow_mask),
        "ours: blend_face, released mask": lambda: blend_face(target, mouth, BOX, 0.0, released_mask, 1.0, ours),
        "ours: blend_face, default mask": lambda: blend_face(target, mouth, BOX, 0.0, mask, 1.0, ours),
        "crop_face": lambda: crop_face(frame, BOX, 0.0, 256),
        "match_color": lambda: match_color(mouth, crop),
        "mask_face, landmarks": lambda: mask_face(track, 0, MaskOptions()),
        "mask_face, jaw": lambda: mask_face(track, 0, jaw, parse_map),
        "crop + colour + mask + blend": everything,
    }
    medians = measure(work, rounds)
    base = medians["baseline: whole-frame Pillow paste"]
    for name, seconds in medians.items():
        print(f"{name:38s} {seconds * 1e3:8.3f} ms   {base / seconds:6.1f} x")

    expected = pillow_paste(frame, mouth, pillow_mask).astype(int)
    for options in (released, ours):
        pasted = frame.copy()
        blend_face(pasted, mouth, BOX, 0.0, released_mask, 1.0, options)
        difference = np.abs(pasted - expected).max()
        print(f"largest difference from the baseline, {options.mode} mode: {difference} / 255")


def measure(work: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of one core for each, all of them once a round."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, call in work.items():
            call()  # nobody pays for what the one before did to the caches and to the allocator
            start = time.thread_time()
            call()
            seconds[name].append(time.thread_time() - start)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def pillow_paste(frame: np.ndarray, mouth: np.ndarray, mask: Image.Image) -> np.ndarray:
    """The released paste with a cached mask of the square."""
    x1, y1, x2, y2 = (int(v) for v in BOX)
    x, y, side = parse_square(BOX)
    face = cv2.resize(np.rint(mouth * 255).astype(np.uint8), (x2 - x1, y2 - y1))
    body = Image.fromarray(frame)
    square = body.crop((x, y, x + side, y + side))
    square.paste(Image.fromarray(face), (x1 - x, y1 - y))
    body.paste(square, (x, y), mask)
    return np.array(body)


def square_mask(patch: MaskPatch) -> Image.Image:
    """Our patch as the released square's mask."""
    x, y, side = parse_square(BOX)
    plane = np.zeros((side, side), np.uint8)
    height, width = patch.alpha.shape
    plane[patch.y - y : patch.y - y + height, patch.x - x : patch.x - x + width] = np.rint(
        patch.alpha.astype(np.float32) * 255
    )
    return Image.fromarray(plane)


def face_track() -> FaceTrack:
    """One frame with a schematic face that fills the box."""
    centre = np.array([(BOX[0] + BOX[2]) / 2, (BOX[1] + BOX[3]) / 2])
    size = BOX[2:] - BOX[:2]
    points = np.zeros((POINTS, 2))
    angle = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([0.48 * np.cos(angle), -0.05 + 0.5 * np.sin(angle)], axis=1)
    points[27:36] = np.stack([np.linspace(-0.1, 0.1, 9), np.full(9, 0.08)], axis=1)
    points[36:42], points[42:48] = (-0.2, -0.25), (0.2, -0.25)
    angle = np.linspace(np.pi, 3 * np.pi, 12, endpoint=False)
    points[48:60] = np.stack([0.15 * np.cos(angle), 0.24 + 0.05 * np.sin(angle)], axis=1)
    points[60:] = (0, 0.24)
    one = np.ones(1, np.float32)
    landmarks = (centre + points * size).astype(np.float32)[None]
    boxes = BOX[None].astype(np.int32)
    return FaceTrack(one.astype(bool), landmarks, boxes, one * 0, one, np.zeros(1, np.uint8), WIDTH, HEIGHT)


def class_map() -> np.ndarray:
    """A face as the parser would label it."""
    classes = np.zeros((PARSE_SIZE, PARSE_SIZE), np.uint8)
    cv2.ellipse(classes, (256, 260), (150, 190), 0, 0, 360, 1, -1)
    cv2.ellipse(classes, (256, 350), (60, 20), 0, 0, 360, 12, -1)
    return classes


if __name__ == "__main__":
    main()
