"""Meters on pixels, on drawn pictures: each planted fault at its size, and nothing from an untouched picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musetalk_core.eval.fidelity import EQUAL_PSNR, FidelityMeter, match_colour
from musetalk_core.eval.pixels import blur, ssim
from musetalk_core.eval.region import RegionMeter, RegionScores
from musetalk_core.types import MaskPatch

FRAMES = 6
WINDOW = np.array([30, 40, 90, 100])


def picture(seed: int = 0) -> np.ndarray:
    """A textured picture, (120, 140, 3) uint8."""
    noise = np.random.default_rng(seed).normal(size=(120, 140, 3)).astype(np.float32)
    smooth = blur(noise, 3)
    return np.clip(128 + 60 * smooth / smooth.std() / 2 + 4 * noise, 20, 235).astype(np.uint8)


def ellipse(feather: float) -> MaskPatch:
    """A mask around the middle of the window, cut to where it is not 0."""
    y, x = np.mgrid[:120, :140]
    distance = 26 * (1 - np.hypot((x - 60) / 26, (y - 70) / 26))
    alpha = np.clip(distance / feather + 0.5, 0, 1) if feather else (distance >= 0).astype(np.float64)
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    part = alpha[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return MaskPatch(int(columns[0]), int(rows[0]), part.astype(np.float16))


def blend(frame: np.ndarray, new: np.ndarray, mask: MaskPatch) -> np.ndarray:
    result = frame.astype(np.float32)
    h, w = mask.alpha.shape
    part = (slice(mask.y, mask.y + h), slice(mask.x, mask.x + w))
    share = mask.alpha.astype(np.float32)[..., None]
    result[part] = result[part] * (1 - share) + new[part] * share
    return np.clip(np.round(result), 0, 255).astype(np.uint8)


def measure(
    sources: list[np.ndarray], outputs: list[np.ndarray], mask: MaskPatch, tolerance: float = 0
) -> RegionScores:
    meter = RegionMeter(len(sources), tolerance)
    for i, (source, output) in enumerate(zip(sources, outputs, strict=True)):
        meter.add(i, source, output, mask, WINDOW)
    return meter.result()


def test_nothing_from_an_untouched_picture() -> None:
    frames = [picture(k) for k in range(FRAMES)]
    scores = measure(frames, [frame.copy() for frame in frames], ellipse(8))
    assert scores.sharpness == 1
    assert scores.seam == scores.flicker == scores.colour_shift == 0
    assert scores.outside_pixels == scores.outside_frames == scores.outside_most == 0
    assert scores.frames == FRAMES


@pytest.mark.parametrize("step", [3, 6, 12])
def test_a_hard_seam_is_found_at_its_height_and_a_feathered_one_is_not(step: int) -> None:
    frames = [picture(k) for k in range(FRAMES)]
    hard = measure(frames, [blend(f, f.astype(np.float32) + step, ellipse(0)) for f in frames], ellipse(0))
    soft = measure(frames, [blend(f, f.astype(np.float32) + step, ellipse(12)) for f in frames], ellipse(12))
    assert hard.seam == pytest.approx(step, rel=0.15)
    assert soft.seam is not None
    assert soft.seam < 0.15 * step


def test_a_seam_is_not_mistaken_for_another_mouth() -> None:
    frames = [picture(k) for k in range(FRAMES)]
    other = measure(frames, [blend(f, picture(50 + k), ellipse(10)) for k, f in enumerate(frames)], ellipse(10))
    cut = measure(frames, [blend(f, picture(50 + k), ellipse(0)) for k, f in enumerate(frames)], ellipse(0))
    assert other.seam is not None
    assert cut.seam is not None
    assert cut.seam > 4 * other.seam


@pytest.mark.parametrize("feather", [0, 4, 14])
def test_grey_shift_is_found_whatever_the_feather(feather: int) -> None:
    frames = [np.full((120, 140, 3), 128, np.uint8)] * FRAMES
    scores = measure(frames, [blend(f, f + 6.0, ellipse(feather)) for f in frames], ellipse(feather))
    lightness = 116 * (np.cbrt(_linear(134)) - np.cbrt(_linear(128)))
    assert scores.colour is not None
    assert scores.colour_shift is not None
    assert scores.colour[0] == pytest.approx(lightness, rel=0.08)
    assert scores.colour_shift == pytest.approx(lightness, rel=0.08)
    assert scores.flicker == 0


def _linear(level: float) -> float:
    return float(((level / 255 + 0.055) / 1.055) ** 2.4)


def test_flicker_is_the_change_of_the_residual() -> None:
    frames = [picture(k) for k in range(FRAMES)]
    on_off = [blend(f, f.astype(np.float32) + 6 * (k % 2), ellipse(8)) for k, f in enumerate(frames)]
    steady = [blend(f, f.astype(np.float32) + 6, ellipse(8)) for f in frames]
    flicker, still = measure(frames, on_off, ellipse(8)).flicker, measure(frames, steady, ellipse(8)).flicker
    assert flicker == pytest.approx(6, rel=0.15)
    assert still is not None
    assert still < 0.5


def test_flicker_follows_a_mask_that_moves() -> None:
    frame = picture()
    meter = RegionMeter(2, 0)
    for i in range(2):
        mask = ellipse(8)
        mask = MaskPatch(mask.x + 3 * i, mask.y - 2 * i, mask.alpha)
        meter.add(i, frame, np.clip(frame.astype(int) + 6, 0, 255).astype(np.uint8), mask, WINDOW)
    assert meter.flicker[1] == pytest.approx(0, abs=0.05)


def test_blur_shows_in_sharpness_alone_of_the_picture_meters() -> None:
    frames = [picture(k) for k in range(FRAMES)]
    scores = measure(frames, [blend(f, blur(f.astype(np.float32), 2), ellipse(8)) for f in frames], ellipse(8))
    assert scores.sharpness is not None
    assert scores.sharpness < 0.7
    assert scores.colour_shift is not None
    assert scores.colour_shift < 1
    assert scores.outside_pixels == 0


@given(x=st.integers(0, 139), y=st.integers(0, 119), frame=st.integers(0, 2))
@settings(max_examples=20, deadline=None)
def test_one_pixel_outside_is_counted_one_inside_is_not(x: int, y: int, frame: int) -> None:
    frames = [picture(k) for k in range(3)]
    outputs = [f.copy() for f in frames]
    outputs[frame][y, x, 1] += 1
    mask = ellipse(8)
    h, w = mask.alpha.shape
    inside = 0 <= y - mask.y < h and 0 <= x - mask.x < w and mask.alpha[y - mask.y, x - mask.x] > 0
    scores = measure(frames, outputs, mask)
    assert scores.outside_pixels == scores.outside_frames == (0 if inside else 1)
    assert scores.outside_most == (0 if inside else 1)
    assert measure(frames, outputs, mask, tolerance=1).outside_pixels == 0


def test_float_frames_and_frames_without_a_face() -> None:
    frame = picture()
    meter = RegionMeter(2, 0.01)
    meter.add(0, frame / np.float32(255), (frame / np.float32(255)).astype(np.float32), ellipse(8), WINDOW)
    changed = frame.copy()
    changed[70, 60] ^= 1
    meter.add(1, frame, changed, None, WINDOW)
    scores = meter.result()
    assert scores.seam == 0
    assert scores.outside_pixels == 1


def test_a_mask_at_the_pictures_edge() -> None:
    frame = picture()
    alpha = np.ones((30, 40), np.float16)
    scores = measure([frame] * 2, [blend(frame, frame + 6.0, MaskPatch(0, 90, alpha))] * 2, MaskPatch(0, 90, alpha))
    assert scores.seam == pytest.approx(6, rel=0.2)


def test_fidelity_of_equal_noisy_and_recoloured_windows() -> None:
    real = picture()[40:100, 30:90]
    rng = np.random.default_rng(1)
    meters = {name: FidelityMeter(3) for name in ("equal", "noise", "colour")}
    for i in range(3):
        meters["equal"].add(i, real, real)
        noisy = np.clip(real + rng.normal(0, 5, real.shape), 0, 255).astype(np.float32) / 255
        meters["noise"].add(i, noisy, real)
        meters["colour"].add(i, np.clip(real * 0.9 + np.array([8, 0, -4]), 0, 255).astype(np.float32) / 255, real)
    equal, noise, colour = (meter.result() for meter in meters.values())
    assert equal is not None
    assert noise is not None
    assert colour is not None
    assert (equal.l1, equal.psnr, equal.ssim, equal.frames) == (0, EQUAL_PSNR, pytest.approx(1), 3)
    assert noise.psnr == pytest.approx(20 * np.log10(255 / 5), abs=0.3)
    assert colour.psnr < 32
    assert colour.matched_psnr > colour.psnr + 10
    assert colour.matched_ssim > 0.999
    assert FidelityMeter(3).result() is None


def test_colour_matching_does_not_fade_a_wrong_mouth_to_grey() -> None:
    real, wrong = picture(1)[40:100, 30:90].astype(np.float32), picture(2)[40:100, 30:90].astype(np.float32)
    matched = match_colour(wrong, real)
    assert matched.std() > 0.8 * real.std()


def test_ssim_falls_with_blur() -> None:
    real = picture().astype(np.float32)
    values = [ssim(blur(real, sigma), real) for sigma in (0.5, 1, 2)]
    assert values[0] > values[1] > values[2]
    assert ssim(real, real) == pytest.approx(1)
