"""Masks: the released areas against a plain reference, the landmark areas by what they must cover and never touch."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musetalk_core.errors import FaceError, OptionError
from musetalk_core.face.crop import CropOptions, crop_boxes
from musetalk_core.face.mask import MaskOptions, class_mask, mask_face, mask_from_user
from musetalk_core.face.points import points68
from musetalk_core.face.track import TrackOptions, track_faces
from musetalk_core.progress import SilentProgress
from musetalk_core.types import FaceTrack, MaskPatch
from musetalk_core.video.read import ArrayFootage

Image = pytest.importorskip("PIL.Image")


def drawn_face(opening: float = 0.0, turn: float = 0.0) -> np.ndarray:
    """68 landmarks of a schematic face, 1 high, centre 0, chin at y = 0.5; `opening` lowers lip and chin."""
    angle = np.linspace(math.pi, 0, 17)
    jaw = np.stack([0.4 * np.cos(angle), -0.05 + 0.55 * np.sin(angle)], axis=1)
    jaw[:, 1] += opening * np.sin(angle) ** 2
    brow = np.linspace(-0.32, -0.08, 5)
    brows = np.stack([np.r_[brow, -brow[::-1]], np.full(10, -0.38)], axis=1)
    bridge = np.stack([np.zeros(4), np.linspace(-0.25, 0.02, 4)], axis=1)
    base = np.stack([np.linspace(-0.09, 0.09, 5), 0.09 + np.array([0, 0.01, 0.02, 0.01, 0])], axis=1)
    circle = np.linspace(math.pi, -math.pi, 6, endpoint=False)
    eye = np.stack([0.06 * np.cos(circle), -0.02 * np.sin(circle)], axis=1)
    eyes = np.r_[eye + np.array([-0.18, -0.25]), eye + np.array([0.18, -0.25])]
    outer = np.linspace(math.pi, 3 * math.pi, 12, endpoint=False)
    lips = np.stack([0.14 * np.cos(outer), 0.24 + 0.04 * np.sin(outer)], axis=1)
    lips[7:12, 1] += opening
    inner = np.linspace(math.pi, 3 * math.pi, 8, endpoint=False)
    inside = np.stack([0.1 * np.cos(inner), 0.24 + 0.01 * np.sin(inner)], axis=1)
    inside[5:8, 1] += opening
    points = np.r_[jaw, brows, bridge, base, eyes, lips, inside]
    points[:, 0] += turn * 0.15 * np.cos(points[:, 0] / 0.4 * math.pi / 2)
    return points


def make_track(points: np.ndarray, width: int, height: int, roll: float = 0.0, box: object = None) -> FaceTrack:
    """A track of one frame around 68 points in pixels; with `roll`, the box fits the face before it was turned."""
    points = points.astype(np.float32)[None]
    boxes = crop_boxes(points, CropOptions()) if box is None else np.array([box], np.int32)
    one = np.ones(1)
    return FaceTrack(
        one.astype(bool), points, boxes, one.astype(np.float32) * np.float32(roll), one.astype(np.float32),
        np.zeros(1, np.uint8), width, height,
    )  # fmt: skip


def placed(face: np.ndarray, size: float, x: float, y: float, roll: float = 0.0) -> np.ndarray:
    cos, sin = math.cos(roll), math.sin(roll)
    return face * size @ np.array([[cos, sin], [-sin, cos]]) + (x, y)


def full(patch: MaskPatch, width: int, height: int) -> np.ndarray:
    alpha = np.zeros((height, width), np.float32)
    h, w = patch.alpha.shape
    alpha[patch.y : patch.y + h, patch.x : patch.x + w] = patch.alpha
    return alpha


def inside(track: FaceTrack) -> np.ndarray:
    """(H, W) bool, pixels whose centre lies in the turned crop box."""
    x1, y1, x2, y2 = track.boxes[0].astype(float)
    roll = float(track.roll[0])
    y, x = np.mgrid[: track.height, : track.width] + 0.5
    dx, dy = x - (x1 + x2) / 2, y - (y1 + y2) / 2
    u, v = math.cos(roll) * dx + math.sin(roll) * dy, math.cos(roll) * dy - math.sin(roll) * dx
    return (np.abs(u) <= (x2 - x1) / 2) & (np.abs(v) <= (y2 - y1) / 2)


# The landmark masks


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["landmarks", "mouth", "jaw"]),
    st.floats(20, 700),
    st.floats(-100, 360),
    st.floats(-100, 280),
    st.floats(-1, 1),
    st.floats(0, 0.3),
    st.floats(-0.1, 0.5),
    st.booleans(),
)
def test_mask_stays_inside_frame_and_box(kind, size, x, y, roll, feather, expand, align) -> None:
    width, height = 261, 181
    upright = make_track(placed(drawn_face(0.05), size, x, y), width, height)
    x1, y1, x2, y2 = upright.boxes[0]
    centre = np.array([x1 + x2, y1 + y2]) / 2
    points = (upright.landmarks[0] - centre) @ np.array(
        [[math.cos(roll), math.sin(roll)], [-math.sin(roll), math.cos(roll)]]
    ) + centre
    track = make_track(points, width, height, roll if align else 0.0, upright.boxes[0] if align else None)
    options = MaskOptions(kind=kind, feather=feather, expand=expand)
    patch = mask_face(track, 0, options, np.ones((512, 512), np.uint8))
    h, w = patch.alpha.shape
    assert patch.alpha.dtype == np.float16
    assert patch.x >= 0
    assert patch.y >= 0
    assert patch.x + w <= width
    assert patch.y + h <= height
    if patch.alpha.size:
        assert patch.alpha.min() >= 0
        assert patch.alpha.max() <= 1
        assert np.isfinite(patch.alpha).all()
    assert not full(patch, width, height)[~inside(track)].any()


@pytest.mark.parametrize("kind", ["landmarks", "mouth"])
@pytest.mark.parametrize("roll", [0.0, 0.4, -0.7])
@pytest.mark.parametrize("turn", [-1.0, 0.0, 1.0])
def test_lips_are_covered_at_every_opening(kind: str, roll: float, turn: float) -> None:
    for opening in (0.0, 0.05, 0.12):
        track = make_track(placed(drawn_face(opening, turn), 300, 250, 220, roll), 500, 480)
        alpha = full(mask_face(track, 0, MaskOptions(kind=kind)), 500, 480)
        area = np.zeros((480, 500), np.uint8)
        cv2.fillPoly(area, [np.rint(track.landmarks[0, 48:60]).astype(np.int32)], 1)
        assert alpha[area == 1].min() > 0.9


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("clip", ["video/videoretalking_2.mp4", "edge/three_quarter_view.mp4"])
def test_real_lips_are_covered(assets: Path, clip: str, align: bool) -> None:
    with av.open(str(assets / clip)) as file:
        pictures = [f.to_ndarray(format="rgb24") for f, _ in zip(file.decode(video=0), range(12), strict=False)]
    footage = ArrayFootage(np.stack(pictures), Fraction(25))
    (track,) = track_faces(footage, TrackOptions(align_roll=align), CropOptions(), SilentProgress())
    for index in range(0, 12, 3):
        alpha = full(mask_face(track, index, MaskOptions()), track.width, track.height)
        points = points68(track.landmarks[index])
        x, y = np.rint(points[48:68]).astype(int).T
        assert alpha[y, x].min() > 0.9
        x, y = np.rint(points[[27, 28, *range(36, 48)]]).astype(int).T
        assert alpha[y, x].max() == 0


def test_jaw_that_opens_further_is_covered() -> None:
    """The mask of a closed source covers lips and most of the chin of a mouth that opens wide."""
    track = make_track(placed(drawn_face(0.0), 300, 250, 220), 500, 480)
    wide = placed(drawn_face(0.1), 300, 250, 220)
    alpha = full(mask_face(track, 0, MaskOptions()), 500, 480)
    x, y = np.rint(wide[48:60]).astype(int).T
    assert alpha[y, x].min() > 0.9
    chin = wide[8]  # lies below the box, where there are no new pixels: the mask ends at the box
    bottom = min(int(chin[1]), int(track.boxes[0, 3]))
    assert alpha[: bottom - 12, int(chin[0])].max() > 0.9
    assert alpha[bottom - 12, int(chin[0])] > 0.5


def test_eyes_and_nose_bridge_are_left_alone() -> None:
    track = make_track(placed(drawn_face(), 300, 250, 220), 500, 480)
    alpha = full(mask_face(track, 0, MaskOptions()), 500, 480)
    x, y = np.rint(track.landmarks[0, [27, 28, *range(36, 48)]]).astype(int).T
    assert not alpha[y, x].any()
    mouth = full(mask_face(track, 0, MaskOptions(kind="mouth")), 500, 480)
    assert mouth.sum() < alpha.sum()


def test_edge_is_soft_everywhere() -> None:
    track = make_track(placed(drawn_face(), 400, 250, 240), 500, 500)
    alpha = full(mask_face(track, 0, MaskOptions()), 500, 500)
    steps = max(np.abs(np.diff(alpha, axis=0)).max(), np.abs(np.diff(alpha, axis=1)).max())
    assert steps < 0.13  # the shortest ramp, at the crop's edge, is 4 % of 400 pixels


@settings(max_examples=30, deadline=None)
@given(st.integers(-40, 40), st.integers(-40, 40))
def test_mask_moves_with_the_face(dx: int, dy: int) -> None:
    face = placed(drawn_face(0.03), 160.25, 200.5, 200.25)
    a = mask_face(make_track(face, 400, 400), 0, MaskOptions())
    b = mask_face(make_track(face + np.array([dx, dy]), 400, 400), 0, MaskOptions())
    assert (b.x - a.x, b.y - a.y) == (dx, dy)
    assert np.abs(a.alpha.astype(np.float32) - b.alpha).max() < 0.02


def test_mask_does_not_jump_when_the_face_creeps() -> None:
    face = placed(drawn_face(0.03), 160, 200, 200)
    box = crop_boxes(face.astype(np.float32)[None], CropOptions())[0]
    tracks = [make_track(face + np.array([i / 8, 0]), 400, 400, box=box) for i in range(9)]
    frames = [full(mask_face(track, 0, MaskOptions()), 400, 400) for track in tracks]
    steps = [np.abs(b - a).max() for a, b in pairwise(frames)]
    assert max(steps) < 0.03  # an eighth of a pixel on an edge of 16 pixels


def test_landmarks_that_are_not_numbers_are_refused() -> None:
    points = placed(drawn_face(), 100, 100, 100)
    track = make_track(points, 200, 200)
    points[50] = np.nan
    broken = dataclasses.replace(track, landmarks=points.astype(np.float32)[None])
    with pytest.raises(FaceError, match="Frame 0"):
        mask_face(broken, 0, MaskOptions())


@pytest.mark.parametrize("kind", ["landmarks", "mouth", "jaw"])
@pytest.mark.parametrize("box", [(50, 50, 50, 50), (-500, -500, -300, -300), (900, 20, 1000, 120)])
def test_nothing_to_show_is_an_empty_mask(kind: str, box: tuple[int, ...]) -> None:
    track = make_track(placed(drawn_face(), 100, 100, 100), 200, 200, box=box)
    patch = mask_face(track, 0, MaskOptions(kind=kind), np.ones((512, 512), np.uint8))
    assert patch.alpha.shape == (0, 0)


# The user's mask


@settings(max_examples=40, deadline=None)
@given(st.integers(-60, 130), st.integers(-60, 110), st.integers(1, 150), st.integers(1, 150), st.floats(-1, 1))
def test_user_mask_is_kept_inside_the_box(x, y, w, h, roll) -> None:
    track = make_track(placed(drawn_face(), 50, 50, 50), 113, 97, roll, (x, y, x + w, y + h))
    mask = np.random.default_rng(0).uniform(-0.5, 1.5, (97, 113))
    alpha = full(mask_from_user(mask, track, 0), 113, 97)
    assert not alpha[~inside(track)].any()
    assert (alpha <= np.clip(mask, 0, 1) + 1e-3).all()


def test_user_mask_is_exact_in_the_middle() -> None:
    track = make_track(placed(drawn_face(), 50, 50, 50), 120, 100, box=(20, 10, 100, 90))
    mask = np.random.default_rng(0).uniform(0, 1, (100, 120)).astype(np.float32)
    alpha = full(mask_from_user(mask, track, 0), 120, 100)
    assert np.abs(alpha - mask)[15:85, 25:95].max() < 5e-4  # float16


@pytest.mark.parametrize("mask", [np.ones((120, 100)), np.ones((100, 120, 1)), np.full((100, 120), np.nan)])
def test_unusable_user_mask_is_refused(mask: np.ndarray) -> None:
    track = make_track(placed(drawn_face(), 50, 50, 50), 120, 100)
    with pytest.raises(OptionError):
        mask_from_user(mask, track, 0)


# The released masks


def parse_map(seed: int) -> np.ndarray:
    """Blobs of all 19 classes, with skin, nose and lips where a face has them."""
    rng = np.random.default_rng(seed)
    classes = cv2.resize(rng.integers(0, 19, (16, 16), dtype=np.uint8), (512, 512), interpolation=cv2.INTER_NEAREST)
    for part, centre, axes in (
        (14, (256, 420), (90, 110)), (1, (250 + seed, 270), (150, 190)), (10, (256, 270), (30, 60)),
        (12, (256, 360), (50, 14)), (13, (256, 385), (45, 16)), (11, (256, 372), (30, 6)),
    ):  # fmt: skip
        cv2.ellipse(classes, centre, axes, 0, 0, 360, part, -1)
    return classes


def reference_area(classes: np.ndarray, kind: str, left: int, right: int) -> np.ndarray:
    """The class set by the definition: maxima and minima over shifted copies."""
    if kind == "raw":
        return np.isin(classes, [1, 11, 12, 13])
    if kind == "neck":
        return np.isin(classes, [1, 11, 12, 13, 14])
    skin = np.pad(classes == 1, 40)
    wide = np.zeros_like(skin)
    for r in range(33):
        ones = 0 if r < 10 else 2 * (r - 10) + 1 if r <= 20 else 21
        for c in range(16 - ones // 2, 16 - ones // 2 + ones):
            wide |= np.roll(skin, (16 - r, 16 - c), axis=(0, 1))  # wide[y, x] takes skin[y + r - 16, x + c - 16]
    wide = wide[40:-40, 40:-40]
    flat = wide
    for _ in range(2):
        held = np.pad(flat, 40, constant_values=True)  # the border does not erode
        plus = [(0, c) for c in range(-17, 18)] + [(-1, 0), (1, 0)]
        flat = np.logical_and.reduce([np.roll(held, shift, axis=(0, 1)) for shift in plus])[40:-40, 40:-40]
    x = np.arange(512) - 256
    area = np.where((x <= -left) | (x >= right), flat, wide) & (classes != 10)
    return area | np.isin(classes, [11, 12, 13])


@pytest.mark.parametrize("kind", ["raw", "neck", "jaw"])
@pytest.mark.parametrize(("left", "right"), [(80, 80), (90, 90), (20, 150), (0, 256)])
def test_class_sets_equal_brute_force(kind: str, left: int, right: int) -> None:
    for seed in (0, 1):
        classes = parse_map(seed)
        ours = class_mask(classes, MaskOptions(kind=kind, left_cheek_width=left, right_cheek_width=right))
        assert np.array_equal(ours, reference_area(classes, kind, left, right) * np.uint8(255))


def reference_mask(classes: np.ndarray, box: tuple[int, ...], options: MaskOptions) -> tuple[np.ndarray, int, int]:
    """The released mask of the whole square, step by step with Pillow and OpenCV; and the square's corner."""
    x, y, x1, y1 = box
    area = reference_area(classes, options.kind, options.left_cheek_width, options.right_cheek_width)
    x_c, y_c = (x + x1) // 2, (y + y1) // 2
    s = int((max(x1 - x, y1 - y) // 2) * 1.5)
    x_s, y_s = x_c - s, y_c - s
    seg = Image.fromarray((area * 255).astype(np.uint8)).resize((2 * s, 2 * s), Image.BICUBIC)
    inner = (x - x_s, y - y_s, x1 - x_s, y1 - y_s)
    only_box = Image.new("L", (2 * s, 2 * s), 0)
    only_box.paste(seg.crop(inner), inner)
    lower = Image.new("L", (2 * s, 2 * s), 0)
    lower.paste(only_box.crop((0, s, 2 * s, 2 * s)), (0, s))
    k = int(options.feather * (2 * s) // 2 * 2) + 1
    return cv2.GaussianBlur(np.array(lower), (k, k), 0), x_s, y_s


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["raw", "neck", "jaw"]),
    st.integers(-150, 250),
    st.integers(-150, 250),
    st.integers(12, 420),
    st.integers(12, 420),
    st.sampled_from([0.05, 0.1]),
    st.integers(0, 3),
)
def test_released_mask_equals_the_reference(kind, x, y, w, h, feather, seed) -> None:
    width, height = 311, 257
    options = MaskOptions(kind=kind, feather=feather)
    box = (x, y, x + w, y + h)
    classes = parse_map(seed)
    square, x_s, y_s = reference_mask(classes, box, options)
    expected = np.zeros((2000, 2000), np.uint8)  # the plane around the frame, which begins at 800, 800
    expected[800 + y_s : 800 + y_s + len(square), 800 + x_s : 800 + x_s + len(square)] = square
    outside = np.ones_like(expected, bool)
    outside[800 + y : 800 + y + h, 800 + x : 800 + x + w] = False
    expected[outside] = 0  # there the released paste puts the frame's own pixels back
    expected = expected[800 : 800 + height, 800 : 800 + width]
    track = make_track(placed(drawn_face(), 50, 50, 50), width, height, box=box)
    ours = full(mask_face(track, 0, options, classes), width, height)
    assert np.abs(np.rint(ours * 255) - expected).max() <= 1  # float16 keeps 8 bits and more


def test_parsed_kinds_need_a_class_map() -> None:
    track = make_track(placed(drawn_face(), 50, 50, 50), 100, 100)
    with pytest.raises(OptionError, match="parser"):
        mask_face(track, 0, MaskOptions(kind="jaw"))
    with pytest.raises(OptionError, match="512"):
        mask_face(track, 0, MaskOptions(kind="jaw"), np.zeros((256, 256), np.uint8))


def test_options_refuse_what_they_cannot_do() -> None:
    for wrong in ({"kind": "chin"}, {"feather": 0.5}, {"left_cheek_width": 300}, {"expand": math.nan}):
        with pytest.raises(OptionError):
            MaskOptions(**wrong)
