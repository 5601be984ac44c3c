"""Blending: exact outside the mask, right inside it, and the released paste reproduced."""

from __future__ import annotations

import math
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musetalk_core.errors import GenerationError, MediaError, OptionError
from musetalk_core.face.crop import crop_face
from musetalk_core.face.mask import MaskOptions, class_mask, mask_face
from musetalk_core.render.blend import BlendOptions, blend_face
from musetalk_core.types import FaceTrack, MaskPatch

Image = pytest.importorskip("PIL.Image")

DEFAULT, RELEASED = BlendOptions(), BlendOptions(mode="released")


def noise(height: int, width: int, channels: int = 3, dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
    frame = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return frame if dtype is np.uint8 else frame.astype(np.float32) / 255


def smooth(height: int, width: int) -> np.ndarray:
    """A picture without detail finer than 20 pixels."""
    y, x = np.mgrid[:height, :width] / 20
    waves = [np.sin(x / 2 + i) * np.cos(y / 3 - i) for i in range(3)]
    return np.rint(127.5 + 120 * np.stack(waves, axis=2)).astype(np.uint8)


def whole(patch: MaskPatch, height: int, width: int) -> np.ndarray:
    """The mask over the whole frame, cut where it reaches beyond."""
    plane = np.zeros((height + 800, width + 800), np.float32)
    h, w = patch.alpha.shape
    plane[400 + patch.y : 400 + patch.y + h, 400 + patch.x : 400 + patch.x + w] = patch.alpha
    return plane[400 : 400 + height, 400 : 400 + width]


boxes = st.tuples(st.integers(-90, 140), st.integers(-90, 90), st.integers(1, 260), st.integers(1, 260))


@settings(max_examples=120, deadline=None)
@given(
    boxes,
    boxes,
    st.sampled_from([0.0, 0.0, 0.3, -1.2]),
    st.floats(0, 1),
    st.sampled_from([3, 4]),
    st.sampled_from([np.uint8, np.float32]),
    st.sampled_from([DEFAULT, RELEASED]),
    st.sampled_from([(61, 107), (60, 108)]),
    st.sampled_from([(64, 64), (17, 33), (256, 256)]),
)
def test_nothing_changes_where_the_mask_is_0(box, patch, roll, strength, channels, dtype, options, size, mouth) -> None:
    (x, y, w, h), (px, py, pw, ph) = box, patch
    rng = np.random.default_rng(1)
    alpha = rng.uniform(0, 1, (ph, pw)) * (rng.uniform(0, 1, (ph, pw)) < 0.5)
    mask = MaskPatch(px, py, alpha.astype(np.float16))
    frame = noise(*size, channels, dtype)
    before = frame.copy()
    blend_face(
        frame, rng.uniform(0, 1, (*mouth, 3)).astype(np.float32), (x, y, x + w, y + h), roll, mask, strength, options
    )
    still = whole(mask, *size) * np.float32(strength) == 0
    if roll == 0:
        rows, columns = np.mgrid[: size[0], : size[1]]
        still |= (columns < x) | (columns >= x + w) | (rows < y) | (rows >= y + h)
    assert np.array_equal(frame[still], before[still])
    assert np.array_equal(frame[..., 3:], before[..., 3:])
    assert frame.dtype == before.dtype
    assert np.isfinite(frame).all()


@settings(max_examples=60, deadline=None)
@given(boxes, st.floats(0, 1), st.sampled_from([np.uint8, np.float32]))
def test_equals_the_formula(box, strength, dtype) -> None:
    x, y, w, h = box
    height, width = 61, 107
    frame = noise(height, width, 3, dtype)
    mouth = np.random.default_rng(2).uniform(0, 1, (16, 16, 3)).astype(np.float32)
    alpha = np.random.default_rng(3).uniform(0, 1, (height, width)).astype(np.float16)
    expected = frame.astype(np.float64) / (255 if dtype is np.uint8 else 1)
    grown = mouth
    if w < 16 or h < 16:
        grown = cv2.resize(grown, (min(w, 16), min(h, 16)), interpolation=cv2.INTER_AREA)
    grown = cv2.resize(grown, (w, h), interpolation=cv2.INTER_LINEAR)
    for row in range(max(y, 0), min(y + h, height)):
        for column in range(max(x, 0), min(x + w, width)):
            a = float(alpha[row, column]) * strength
            expected[row, column] += a * (grown[row - y, column - x] - expected[row, column])
    blend_face(frame, mouth, (x, y, x + w, y + h), 0.0, MaskPatch(0, 0, alpha), strength, DEFAULT)
    # Half a step of rounding; the sampled path of large boxes interpolates at 1/32 pixel of the mouth.
    step, extra = (255.0, 0.5) if dtype is np.uint8 else (1.0, 0.0)
    assert np.abs(frame - expected * step).max() <= extra + 0.02 * step


@settings(max_examples=40, deadline=None)
@given(
    st.integers(-200, 400),
    st.integers(-200, 300),
    st.sampled_from([3, 4]),
    st.sampled_from([np.uint8, np.float32]),
    st.sampled_from([DEFAULT, RELEASED]),
)
def test_pasting_the_original_crop_is_the_identity(x, y, channels, dtype, options) -> None:
    frame = noise(303, 539, channels, dtype)
    before = frame.copy()
    box = np.array([x, y, x + 256, y + 256])
    crop = crop_face(frame[..., :3], box, 0.0, 256).astype(np.float32) / (255 if dtype is np.uint8 else 1)
    alpha = np.random.default_rng(3).uniform(0, 1, (303, 539)).astype(np.float16)
    blend_face(frame, crop, box, 0.0, MaskPatch(0, 0, alpha), 1.0, options)
    difference = np.abs(frame.astype(np.float64) - before).max()
    assert difference <= (1 if dtype is np.uint8 else 1 / 255)
    if options is DEFAULT and dtype is np.uint8:
        assert difference == 0


@pytest.mark.parametrize("size", [230, 250, 262, 290, 420])
@pytest.mark.parametrize("roll", [0.0, 0.35])
def test_identity_holds_at_other_sizes_and_turned(size: int, roll: float) -> None:
    frame = smooth(600, 640)
    before = frame.copy()
    box = np.array([80, 70, 80 + size, 70 + size])
    crop = crop_face(frame, box, roll, 256).astype(np.float32) / 255
    mask = MaskPatch(80 + size // 4, 70 + size // 4, np.ones((size // 2, size // 2), np.float16))
    blend_face(frame, crop, box, roll, mask, 1.0, DEFAULT)
    assert np.abs(frame.astype(int) - before).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("options", [DEFAULT, RELEASED])
def test_pure_red_stays_red(dtype: type, options: BlendOptions) -> None:
    red = np.zeros((607, 1079, 3), dtype)
    red[..., 0] = 255 if dtype is np.uint8 else 1
    frame = red.copy()
    mouth = np.zeros((256, 256, 3), np.float32)
    mouth[..., 0] = 1
    alpha = np.random.default_rng(0).uniform(0, 1, (300, 333)).astype(np.float16)
    blend_face(frame, mouth, (401, 99, 734, 399), 0.0, MaskPatch(401, 99, alpha), 0.7, options)
    assert np.abs(frame.astype(np.float64) - red).max() <= (0 if dtype is np.uint8 else 1e-6)


@pytest.mark.parametrize("roll", [0.0, 0.2])
def test_face_larger_than_the_image(roll: float) -> None:
    """Only the visible part is sampled: the whole box would be 30 GB."""
    frame = noise(61, 107)
    mouth = np.full((256, 256, 3), 0.5, np.float32)
    box = (-25_000, -20_000, 25_000, 30_000)
    blend_face(frame, mouth, box, roll, MaskPatch(0, 0, np.ones((61, 107), np.float16)), 1.0, DEFAULT)
    assert (np.abs(frame.astype(int) - 128) <= 1).all()


def test_sampled_path_agrees_with_the_resized_box() -> None:
    frame = noise(300, 300)
    other = frame.copy()
    mouth = smooth(256, 256).astype(np.float32) / 255
    box = (-400, -300, 700, 800)
    small = np.zeros((300, 300), np.float16)
    small[100:140, 90:150] = 1
    blend_face(frame, mouth, box, 0.0, MaskPatch(90, 100, small[100:140, 90:150]), 1.0, DEFAULT)
    grown = cv2.resize(mouth, (1100, 1100), interpolation=cv2.INTER_LINEAR)[300:600, 400:700]
    other[100:140, 90:150] = np.rint(grown[100:140, 90:150] * 255)
    assert np.abs(frame.astype(int) - other).max() <= 1


def test_shrinking_does_not_alias() -> None:
    frame = np.zeros((100, 100, 3), np.uint8)
    checks = np.indices((256, 256)).sum(axis=0) % 2
    mouth = np.repeat(checks[..., None], 3, axis=2).astype(np.float32)
    blend_face(frame, mouth, (10, 10, 83, 70), 0.0, MaskPatch(10, 10, np.ones((60, 73), np.float16)), 1.0, DEFAULT)
    inner = frame[10:70, 10:83].astype(int)
    assert np.abs(inner - 127.5).max() < 20  # nearest or bilinear sampling gives 0 and 255


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_mouths_that_are_not_numbers_never_reach_the_frame(bad: float) -> None:
    frame = noise(50, 50)
    before = frame.copy()
    mouth = np.full((32, 32, 3), 0.5, np.float32)
    mouth[3, 4, 1] = bad
    with pytest.raises(GenerationError):
        blend_face(frame, mouth, (5, 5, 45, 45), 0.0, MaskPatch(5, 5, np.ones((40, 40), np.float16)), 1.0, DEFAULT)
    assert np.array_equal(frame, before)


def test_values_beyond_the_range_are_clipped() -> None:
    frame = noise(50, 50)
    mouth = np.full((32, 32, 3), 1.7, np.float32)
    mouth[:, :16] = -0.6
    blend_face(frame, mouth, (5, 5, 45, 45), 0.0, MaskPatch(5, 5, np.ones((40, 40), np.float16)), 1.0, DEFAULT)
    assert (frame[10:40, 6:20] == 0).all()
    assert (frame[10:40, 30:44] == 255).all()


@pytest.mark.parametrize("box", [(5, 5, 5, 45), (45, 5, 5, 45), (60, 60, 90, 90), (-40, -40, -10, -10)])
def test_nothing_to_blend_changes_nothing(box: tuple[int, ...]) -> None:
    frame = noise(50, 50)
    before = frame.copy()
    mouth = np.full((32, 32, 3), 0.5, np.float32)
    blend_face(frame, mouth, box, 0.0, MaskPatch(0, 0, np.ones((50, 50), np.float16)), 1.0, DEFAULT)
    blend_face(frame, mouth, (0, 0, 50, 50), 0.0, MaskPatch(0, 0, np.zeros((0, 0), np.float16)), 1.0, DEFAULT)
    blend_face(frame, mouth, (0, 0, 50, 50), 0.0, MaskPatch(0, 0, np.ones((50, 50), np.float16)), 0.0, DEFAULT)
    assert np.array_equal(frame, before)


@pytest.mark.parametrize("frame", [np.zeros((9, 9)), np.zeros((9, 9, 3), np.float64), np.zeros((9, 9, 1), np.uint8)])
def test_other_frames_are_refused(frame: np.ndarray) -> None:
    with pytest.raises(MediaError):
        blend_face(frame, np.zeros((8, 8, 3), np.float32), (0, 0, 9, 9), 0.0,
                   MaskPatch(0, 0, np.ones((9, 9), np.float16)), 1.0, DEFAULT)  # fmt: skip


def test_options_are_checked() -> None:
    with pytest.raises(OptionError):
        BlendOptions(mode="other")


def released_paste(
    frame: np.ndarray, mouth: np.ndarray, box: tuple[int, ...], area: np.ndarray, feather: float
) -> np.ndarray:
    """The released paste step by step with Pillow and OpenCV; `area` is the (512, 512) mask, 0 or 255."""
    x, y, x1, y1 = box
    body = Image.fromarray(frame)
    face = cv2.resize(np.rint(np.clip(mouth, 0, 1) * 255).astype(np.uint8), (x1 - x, y1 - y))
    x_c, y_c = (x + x1) // 2, (y + y1) // 2
    s = int((max(x1 - x, y1 - y) // 2) * 1.5)
    x_s, y_s = x_c - s, y_c - s
    inner = (x - x_s, y - y_s, x1 - x_s, y1 - y_s)
    square = body.crop((x_s, y_s, x_c + s, y_c + s))
    seg = Image.fromarray(area).resize(square.size, Image.BICUBIC)
    only_box = Image.new("L", square.size, 0)
    only_box.paste(seg.crop(inner), inner)
    lower = Image.new("L", square.size, 0)
    lower.paste(only_box.crop((0, s, 2 * s, 2 * s)), (0, s))
    k = int(feather * square.size[0] // 2 * 2) + 1
    mask = Image.fromarray(cv2.GaussianBlur(np.array(lower), (k, k), 0))
    square.paste(Image.fromarray(face), inner)
    body.paste(square, (x_s, y_s), mask)
    return np.array(body)


def face_classes(seed: int) -> np.ndarray:
    classes = np.zeros((512, 512), np.uint8)
    for part, centre, axes in (
        (14, (256, 440), (100, 90)), (1, (246 + seed, 260), (160, 190)), (10, (256, 270), (30, 60)),
        (12, (256, 340), (60, 14)), (13, (256, 370), (55, 18)), (11, (256, 355), (40, 8)),
    ):  # fmt: skip
        cv2.ellipse(classes, centre, axes, 3.0 * seed, 0, 360, part, -1)
    return classes


@pytest.mark.parametrize(
    ("clip", "box"),
    [
        ("video/videoretalking_2.mp4", (258, 226, 555, 636)),
        ("video/grid_s1_heldout.mp4", (117, 103, 220, 245)),
        ("edge/three_quarter_view.mp4", (580, 226, 802, 493)),
        ("edge/three_quarter_view.mp4", (1101, 401, 1349, 752)),  # reaches outside, right and bottom
        ("video/grid_s1_heldout.mp4", (-40, -33, 460, 401)),  # larger than the picture
    ],
)
@pytest.mark.parametrize("feather", [0.05, 0.1])
@pytest.mark.parametrize("kind", ["jaw", "raw", "neck"])
def test_released_mode_equals_the_released_paste(
    assets: Path, clip: str, box: tuple[int, ...], feather: float, kind: str
) -> None:
    with av.open(str(assets / clip)) as file:
        frame = next(iter(file.decode(video=0))).to_ndarray(format="rgb24")
    mouth = crop_face(frame, np.array(box), 0.0, 256).astype(np.float32) / 255
    mouth = np.clip(mouth[:, ::-1] * (1.2, 0.9, 0.7) + 0.03, 0, 1).astype(np.float32)
    classes = face_classes(len(clip) % 5)
    options = MaskOptions(kind=kind, feather=feather)
    track = FaceTrack(
        np.ones(1, bool), np.zeros((1, 68, 2), np.float32), np.array([box], np.int32), np.zeros(1, np.float32),
        np.ones(1, np.float32), np.zeros(1, np.uint8), frame.shape[1], frame.shape[0],
    )  # fmt: skip
    expected = released_paste(frame, mouth, box, class_mask(classes, options), feather)
    assert np.abs(expected.astype(int) - frame).max() > 30  # the paste shows
    blend_face(frame, mouth, box, 0.0, mask_face(track, 0, options, classes), 1.0, RELEASED)
    assert np.abs(frame.astype(int) - expected).max() <= 1


def test_turned_crop_returns_to_its_place() -> None:
    """A mark drawn in the turned crop lands where the crop took it from."""
    frame = np.zeros((400, 400, 3), np.uint8)
    roll, centre = 0.5, np.array([210.0, 190.0])
    offset = np.array([40.0, 60.0])  # in the crop, from its centre
    crop = np.zeros((256, 256, 3), np.float32)
    at = np.rint(128 + offset * 256 / 200).astype(int)
    crop[at[1] - 4 : at[1] + 4, at[0] - 4 : at[0] + 4] = 1
    blend_face(frame, crop, (110, 90, 310, 290), roll, MaskPatch(0, 0, np.ones((400, 400), np.float16)), 1.0, DEFAULT)
    y, x = np.nonzero(frame[..., 0] > 127)
    turn = np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
    assert np.abs((x.mean() + 0.5, y.mean() + 0.5) - (centre + turn @ offset)).max() < 1
