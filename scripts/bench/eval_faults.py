"""Faults of known size, planted into real footage, and what every meter says about them: one table.

    python scripts/bench/eval_faults.py SOURCE SOUND [--frames 500]

The source is its own truth, and every fault is one change to it inside the dub's own feathered mask, so whatever a
meter reports is the fault. Prints a table of all meters (rows) and faults (columns).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np

from musetalk_core.audio.read import read_audio
from musetalk_core.eval.evaluate import judge
from musetalk_core.eval.pixels import blur
from musetalk_core.eval.reference import EvalOptions, Reference, prepare
from musetalk_core.eval.report import table
from musetalk_core.eval.silence import silent_frames
from musetalk_core.types import AudioClip, MaskPatch
from musetalk_core.video.read import ArrayFootage, open_footage

DELAY = 2  # frames
GREY = 6.0  # levels
BLUR = 2.0  # pixels
JITTER = 0.01  # of the face's height, standard deviation of each axis
SHOWN = (
    "motion.lag_frames",
    "motion.opening_r",
    "motion.std_ratio",
    "motion.lip_distance",
    "motion.jerk",
    "probe.r2_at_zero",
    "probe.peak_ms",
    "silence.open_share",
    "fidelity.psnr",
    "fidelity.matched_psnr",
    "fidelity.matched_ssim",
    "region.sharpness",
    "region.seam",
    "region.flicker",
    "region.colour_shift",
    "region.outside_pixels",
)
Fault = Callable[[Reference, np.ndarray], np.ndarray]


def main() -> None:
    """Run every fault and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("sound", type=Path)
    parser.add_argument("--frames", type=int, default=500)
    args = parser.parse_args()
    reference, frames = load(args.source, args.sound, args.frames)
    reports = {}
    for name, plant in FAULTS.items():
        reports[name] = judge(reference, ArrayFootage(plant(reference, frames), Fraction(25)))
    print(table(reports, SHOWN))


def load(source: Path, sound: Path, count: int) -> tuple[Reference, np.ndarray]:
    """The first frames of some footage with their sound, prepared as their own truth."""
    frames = open_footage(source).read(range(count))
    footage = ArrayFootage(frames, Fraction(25))
    clip = read_audio(sound)
    clip = AudioClip(clip.samples[: int(footage.clock.seconds * clip.rate)], clip.rate)
    return prepare(footage, clip, footage, EvalOptions()), frames


def mixed(mask: MaskPatch, frame: np.ndarray, new: np.ndarray, alpha: np.ndarray | None = None) -> None:
    """Blend `new`, a picture of the frame's size in grey levels, into the frame under the mask."""
    h, w = mask.alpha.shape
    part = (slice(mask.y, mask.y + h), slice(mask.x, mask.x + w))
    share = (mask.alpha.astype(np.float32) if alpha is None else alpha)[..., None]
    frame[part] = np.clip(np.round(frame[part] * (1 - share) + new[part] * share), 0, 255).astype(np.uint8)


def moved(frame: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The frame moved by a fraction of a pixel, x and y."""
    import cv2

    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], dtype=np.float64)
    size = (frame.shape[1], frame.shape[0])
    return cv2.warpAffine(frame, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def swapped(reference: Reference, frames: np.ndarray, other: Callable[[int], int]) -> np.ndarray:
    """Each frame with the mouth of another frame, laid over by the head's place."""
    result, pose = frames.copy(), reference.source.curves.pose
    for i, frame in enumerate(result):
        k = other(i)
        if k != i:
            mixed(reference.masks(i), frame, moved(frames[k], pose[i] - pose[k]))
    return result


def identity(reference: Reference, frames: np.ndarray) -> np.ndarray:
    """Nothing changes."""
    return frames.copy()


def delay(reference: Reference, frames: np.ndarray) -> np.ndarray:
    """The mouth comes two frames late."""
    return swapped(reference, frames, lambda i: max(0, i - DELAY))


def soften(reference: Reference, frames: np.ndarray) -> np.ndarray:
    """The mouth is blurred."""
    result = frames.copy()
    for i, frame in enumerate(result):
        mixed(reference.masks(i), frame, blur(frames[i].astype(np.float32), BLUR))
    return result


def grey(reference: Reference, frames: np.ndarray) -> np.ndarray:
    """The mouth is 6 grey levels brighter."""
    result = frames.copy()
    for i, frame in enumerate(result):
        mixed(reference.masks(i), frame, frames[i] + GREY)
    return result


def seam(reference: Reference, frames: np.ndarray) -> np.ndarray:
    """The same, without a feather."""
    result = frames.copy()
    for i, frame in enumerate(result):
        mask = reference.masks(i)
        mixed(mask, frame, frames[i] + GREY, (mask.alpha >= 0.5).astype(np.float32))
    return result


def frozen(reference: Reference, frames: np.ndarray) -> np.ndarray:
    """The mouth of the first frame on all frames."""
    return swapped(reference, frames, lambda i: 0)


def jitter(reference: Reference, frames: np.ndarray) -> np.ndarray:
    """The mouth is pasted with a white jitter of 1 % of the face's height."""
    result, rng = frames.copy(), np.random.default_rng(0)
    size = JITTER * float(np.nanmedian(reference.source.curves.height))
    for i, frame in enumerate(result):
        mixed(reference.masks(i), frame, moved(frames[i], rng.normal(0, size, 2)))
    return result


def gaping(reference: Reference, frames: np.ndarray) -> np.ndarray:
    """An open mouth on every silent frame."""
    silent = silent_frames(reference.audio, reference.source.footage.clock)  # type: ignore[arg-type]
    opening = reference.source.curves.opening
    widest = int(np.nanargmin(np.abs(opening - np.nanpercentile(opening, 90))))
    return swapped(reference, frames, lambda i: widest if silent[i] else i)


def pixel(reference: Reference, frames: np.ndarray) -> np.ndarray:
    """One pixel outside the mask, on one frame, is one level brighter."""
    result = frames.copy()
    value = result[len(result) // 2, 3, 3, 0]
    result[len(result) // 2, 3, 3, 0] = value + 1 if value < 255 else value - 1
    return result


FAULTS: Mapping[str, Fault] = {
    "identity": identity,
    "delay 2": delay,
    "blur 2px": soften,
    "grey +6": grey,
    "seam 6": seam,
    "frozen": frozen,
    "jitter 1%": jitter,
    "gaping": gaping,
    "1 pixel": pixel,
}

if __name__ == "__main__":
    main()
