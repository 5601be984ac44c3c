"""The colour match: finds the decoder's tint, ignores what is repainted, and does not flicker."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from musetalk_core.errors import GenerationError
from musetalk_core.models.load import load_vae
from musetalk_core.placement import SingleDevice
from musetalk_core.render.color import match_color


def picture(seed: int = 0) -> np.ndarray:
    """Smooth blobs between 0.2 and 0.8, (256, 256, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:256, :256] / 256
    waves = [np.sin(rng.uniform(2, 9, 2) @ (x.ravel(), y.ravel()) + rng.uniform(0, 6)) for _ in range(3)]
    return (0.5 + 0.3 * np.stack(waves, axis=1).reshape(256, 256, 3)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0.9, 1.12), min_size=3, max_size=3),
    st.lists(st.floats(-0.05, 0.05), min_size=3, max_size=3),
    st.integers(0, 99),
    st.booleans(),
)
def test_gain_and_offset_are_undone(gain: list[float], offset: list[float], seed: int, as_bytes: bool) -> None:
    source = picture(seed)
    mouth = ((source - np.array(offset)) / np.array(gain)).astype(np.float32)
    given_crop = np.rint(source * 255).astype(np.uint8) if as_bytes else source
    assert np.abs(match_color(mouth, given_crop) - source).max() < 2.5 / 255


def test_only_what_is_not_repainted_counts() -> None:
    source = picture()
    mouth = source * 0.9 + 0.03
    other = source.copy()
    other[128:] = 0.1
    assert np.array_equal(match_color(mouth, source), match_color(mouth, other))
    changed = mouth.copy()
    changed[128:] = 0.4
    assert np.array_equal(match_color(mouth, source)[:128], match_color(changed, source)[:128])


@pytest.mark.parametrize("seed", range(4))
def test_a_blot_does_not_turn_the_fit(seed: int) -> None:
    """A light that the decoder lost moves the rest by less than 1 / 255; a fit without trimming, by 23 to 31."""
    source = picture(seed)
    mouth = source * 0.92 + 0.02
    lit = source.copy()
    lit[10:58, 20:68] = 1
    assert np.abs(match_color(mouth, lit)[128:] - source[128:]).max() < 1 / 255


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_flat_pictures_are_left_alone(level: float) -> None:
    flat = np.full((256, 256, 3), level, np.float32)
    assert np.abs(match_color(flat, flat) - flat).max() < 1e-6


def test_pure_red_stays_red() -> None:
    red = np.zeros((256, 256, 3), np.uint8)
    red[..., 0] = 255
    decoded = np.clip(red / 255 + np.random.default_rng(0).normal(0, 0.01, red.shape), 0, 1).astype(np.float32)
    matched = match_color(decoded, red)
    assert np.abs(matched.mean(axis=(0, 1)) - (1, 0, 0)).max() < 2 / 255


def test_garbage_is_not_stretched() -> None:
    """Noise against a picture: the mean moves by the limit at most, the contrast too, and all stays in range."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(0, 1, (256, 256, 3)).astype(np.float32)
    matched = match_color(noise, (picture() * 40).astype(np.uint8))
    assert matched.min() >= 0
    assert matched.max() <= 1
    assert matched.dtype == np.float32
    assert np.abs(noise.mean() - matched.mean()) < 0.2
    assert 0.5 < matched.std() / noise.std() < 1.35


def test_a_mouth_of_another_size_is_matched_alike() -> None:
    source = picture()
    mouth = np.clip(source * np.float32([0.9, 1.05, 1.0]) + np.float32([0.05, 0.0, -0.04]), 0, 1)
    large = cv2.resize(mouth, (700, 512), interpolation=cv2.INTER_LINEAR)
    wanted = cv2.resize(match_color(mouth, source), (700, 512), interpolation=cv2.INTER_LINEAR)
    matched = match_color(large, source)
    assert matched.shape == large.shape
    assert np.abs(matched - wanted).max() < 2 / 255


def test_grey_is_refused() -> None:
    with pytest.raises(GenerationError):
        match_color(np.zeros((256, 256, 1), np.float32), np.zeros((256, 256, 3), np.float32))


def test_real_faces_gain_and_do_not_flicker(assets: Path) -> None:
    """Through a tiny VAE and back: nearer to the source by 2 dB and more, and steadier from frame to frame."""
    vae = load_vae(assets / "weights" / "taesd_encoder_bf16.safetensors", SingleDevice("cpu", "fp32"))
    x1, y1, x2, y2 = 580, 226, 802, 493
    with av.open(str(assets / "edge" / "three_quarter_view.mp4")) as file:
        frames = [f.to_ndarray(format="rgb24") for f, _ in zip(file.decode(video=0), range(5), strict=False)]
    crops = np.stack([cv2.resize(f[y1:y2, x1:x2], (256, 256), interpolation=cv2.INTER_AREA) for f in frames])
    pictures = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1
    mouths = (vae.decode(vae.encode(pictures)).permute(0, 2, 3, 1).numpy() / 2 + 0.5).astype(np.float32)
    matched = np.stack([match_color(m, c) for m, c in zip(mouths, crops, strict=True)])
    before, after = (v[:, 128:] - crops[:, 128:] / 255.0 for v in (mouths, matched))
    assert 10 * np.log10((before**2).mean() / (after**2).mean()) > 2
    flicker = [np.diff(v.mean(axis=(1, 2)), axis=0).std() * 255 for v in (before, after)]
    assert flicker[1] < flicker[0] + 0.2


def test_a_shifted_crop_keeps_its_contrast() -> None:
    """Where the crops do not agree pixel by pixel, least squares would flatten the mouth."""
    source = picture(1)
    matched = match_color(source, np.roll(source, 40, axis=1))
    assert matched.std(axis=(0, 1)) == pytest.approx(source.std(axis=(0, 1)), rel=0.1)
