"""Tracking over whole clips: real footage where it is there, else footage without a face."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from musetalk_core.errors import FaceError
from musetalk_core.face.crop import CropOptions
from musetalk_core.face.points import points68
from musetalk_core.face.track import TrackOptions, track_faces, track_from_landmarks
from musetalk_core.portraits.footage import portrait_footage
from musetalk_core.progress import SilentProgress
from musetalk_core.types import FaceTrack, Footage, Skip
from musetalk_core.video.read import ArrayFootage, open_footage

ALL = TrackOptions(selection="all")


def track(footage: Footage, options: TrackOptions = ALL, **given: object) -> list[FaceTrack]:
    return track_faces(footage, options, CropOptions(), SilentProgress(), **given)  # type: ignore[arg-type]


def clip(path: Path, frames: int | None = None, start: int = 0) -> np.ndarray:
    footage = open_footage(path)
    stop = len(footage.clock) if frames is None else start + frames
    return footage.read(range(start, stop))


def array(frames: np.ndarray) -> ArrayFootage:
    return ArrayFootage(frames, Fraction(25))


def middle(result: FaceTrack) -> np.ndarray:
    return (result.boxes[:, 0] + result.boxes[:, 2]) / 2


def test_never_7_no_face_at_all_is_one_message() -> None:
    y, x = np.mgrid[:180, :320]
    land = np.stack([x * 0.4, 255 - y, x * 0 + 90], axis=2).astype(np.uint8)  # a landscape, more or less
    with pytest.raises(FaceError, match=r"No face was found in the 50 frames.*front"):
        track(array(np.repeat(land[None], 50, axis=0)))


def test_an_upside_down_face_is_not_taken_for_an_upright_one() -> None:
    """The detector takes it for one, with its mouth on the forehead."""
    upright = portrait_footage(7, 0.2, width=320, height=320).read(range(5))
    (face,) = track(array(upright))
    (turned,) = track(array(np.ascontiguousarray(upright[:, ::-1, ::-1])), TrackOptions(align_roll=True))
    assert face.found.all()
    assert turned.found[1:].all()  # the first look at the first frame may miss
    points = points68(face.landmarks[2])
    assert np.abs(320 - points68(turned.landmarks[2]) - points).max() < 0.05 * np.ptp(points[:, 1])
    assert np.abs(np.cos(turned.roll[1:]) + 1).max() < 0.01
    (left_alone,) = track(array(np.ascontiguousarray(upright[:, ::-1, ::-1])))
    assert (left_alone.skip[1:] == Skip.TURNED).all()


def test_what_comes_from_outside_must_have_one_entry_a_frame() -> None:
    footage = array(np.zeros((5, 60, 80, 3), np.uint8))
    with pytest.raises(FaceError, match="boxes for 4 frames"):
        track(footage, boxes=[np.zeros((0, 4))] * 4)
    with pytest.raises(FaceError, match="landmarks for 6 frames"):
        track_from_landmarks(footage, [np.zeros((0, 68, 2))] * 6, ALL, CropOptions(), SilentProgress())
    with pytest.raises(FaceError, match="478 or 68"):
        track_from_landmarks(footage, [np.zeros((1, 106, 2))] * 5, ALL, CropOptions(), SilentProgress())
    with pytest.raises(FaceError, match="search masks"):
        track(footage, search=np.ones((3, 60, 80)))
    with pytest.raises(FaceError, match="No face"):
        track(footage, boxes=[np.array([[np.nan, 0, 1, 1], [5, 5, 5, 9]])] * 5)


def test_landmarks_from_outside_need_no_network() -> None:
    """Two drawn people, given in changing order, one of them absent and NaN for a while."""
    rng = np.random.default_rng(0)
    face = rng.uniform(-20, 20, (68, 2))
    face[29], face[8], face[36], face[45] = (0, 0), (0, 30), (-12, -8), (12, -8)
    background = rng.integers(0, 256, (120, 320, 3), np.uint8)  # gives each place a look of its own
    frames = np.repeat(background[None], 60, axis=0)
    faces = []
    for i in range(60):
        left, right = (face + np.array(at) for at in ((80, 60), (240, 60)))
        if 20 <= i < 40:
            right = right * np.nan
        faces.append(np.stack([left, right] if i % 2 else [right, left]))
    one, two = track_from_landmarks(array(frames), faces, ALL, CropOptions(), SilentProgress())
    assert one.landmarks.shape == (60, 68, 2)
    assert one.found.all()
    np.testing.assert_allclose(middle(one), middle(one)[0])
    assert np.flatnonzero(~two.found).tolist() == list(range(20, 40))
    assert (two.skip[20:40] == Skip.OTHER_PERSON).all()


@pytest.mark.parametrize("name", ["small_face_fullbody", "three_quarter_view", "drawn_face", "ntsc_2997", "sit_musev"])
def test_one_face_is_found_on_every_frame(assets: Path, name: str) -> None:
    (result,) = track(array(clip(assets / "edge" / f"{name}.mp4", 15)))
    assert result.found.all()
    assert (result.strength == 1).all()


def test_a_clip_with_a_gap(assets: Path) -> None:
    (result,) = track(array(clip(assets / "edge" / "face_gap.mp4", 55, start=35)))
    assert np.flatnonzero(~result.found).tolist() == list(range(15, 40))
    assert (result.skip[15:40] == Skip.NO_FACE).all()
    assert (np.diff(result.strength[9:16]) < 0).all()
    assert (np.diff(result.strength[39:45]) > 0).all()


def test_a_test_picture_has_no_face(assets: Path) -> None:
    with pytest.raises(FaceError, match="No face"):
        track(array(clip(assets / "edge" / "no_face_testsrc.mp4", 12)))


@pytest.mark.parametrize(("name", "count"), [("two_faces", 2), ("three_faces_side_by_side", 3)])
def test_people_side_by_side(assets: Path, name: str, count: int) -> None:
    footage = array(clip(assets / "edge" / f"{name}.mp4", 6))
    everybody = track(footage)
    assert len(everybody) == count
    for i, result in enumerate(everybody):
        assert result.found.all()
        assert (np.floor(middle(result) / footage.width * count) == i).all()
    (last,) = track(footage, TrackOptions(selection="index", index=count - 1))
    np.testing.assert_array_equal(last.boxes, everybody[-1].boxes)
    x, y = int(middle(everybody[1])[0]), int(everybody[1].boxes[0, 3]) - 20
    (pointed,) = track(footage, TrackOptions(selection="point", point_x=x, point_y=y))
    np.testing.assert_array_equal(pointed.boxes, everybody[1].boxes)
    search = np.zeros((10, 10 * count))
    search[:, :10] = 1
    (found,) = track(footage, search=search)
    np.testing.assert_array_equal(found.boxes, everybody[0].boxes)


def crossing(front: np.ndarray, back: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two people from before a blue wall walk past each other; frames and both people's shifts."""
    n, height, width = len(front), front.shape[1], front.shape[2]
    shifts = np.rint(np.linspace(0, width, n)).astype(int)
    frames = np.full((n, height, 2 * width, 3), (30, 140, 180), np.uint8)
    for i in range(n):
        for person, x in ((back[i], width - shifts[i]), (front[i], shifts[i])):
            inside = person[..., 2].astype(int) <= person[..., 0].astype(int) + 25
            frames[i, :, x : x + width][inside] = person[inside]
    return frames, shifts, width - shifts


def test_never_14_two_people_cross_and_keep_their_identity(assets: Path) -> None:
    others = assets / "video" / "grid_others"
    frames, front, back = crossing(clip(others / "brbk7n.mpg", 45), clip(others / "swiz3n.mpg", 45))
    first, second = track(array(frames))
    half = frames.shape[2] / 4
    assert np.abs(middle(first) - half - front).max() < 30
    seen = second.found
    assert seen[:8].all()
    assert seen[-8:].all()
    assert np.abs(middle(second) - half - back)[seen].max() < 30


def test_the_same_person_after_a_cut_and_another_person_between(assets: Path) -> None:
    others = assets / "video" / "grid_others"
    one, other = clip(others / "brbk7n.mpg", 20), clip(others / "swiz3n.mpg", 10)
    frames = np.concatenate([one[:10], other, one[10:]])
    left, right = sorted(track(array(frames)), key=lambda result: -result.found.sum())
    assert np.flatnonzero(left.found).tolist() == [*range(10), *range(20, 30)]
    assert np.flatnonzero(right.found).tolist() == [*range(10, 20)]
    assert (left.skip[10:20] == Skip.OTHER_PERSON).all()


def test_boxes_and_landmarks_from_outside_give_the_same_track(assets: Path) -> None:
    footage = array(clip(assets / "video" / "st_Obama_clip1.mp4", 8))
    (ours,) = track(footage, TrackOptions(smoothing=0.0))
    boxes = [np.array([[*face.min(axis=0), *face.max(axis=0)]]) for face in ours.landmarks]
    (boxed,) = track(footage, TrackOptions(smoothing=0.0), boxes=boxes)
    assert np.abs(boxed.boxes - ours.boxes).max() <= 3
    for faces in (ours.landmarks[:, None], points68(ours.landmarks)[:, None]):
        (given,) = track_from_landmarks(footage, faces, TrackOptions(smoothing=0.0), CropOptions(), SilentProgress())
        np.testing.assert_array_equal(given.boxes, ours.boxes)


def test_float_frames_give_the_same_track(assets: Path) -> None:
    frames = clip(assets / "video" / "st_Obama_clip1.mp4", 5)
    (bytes_,) = track(array(frames))
    (floats,) = track(array((frames / 255).astype(np.float32)))
    assert np.abs(bytes_.landmarks - floats.landmarks).max() < 0.5
