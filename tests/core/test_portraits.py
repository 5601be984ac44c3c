"""Drawn portraits: the same from the same seed, found by our own detector, true to their ground truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musetalk_core.errors import MuseTalkError
from musetalk_core.face.detect import FaceDetector
from musetalk_core.face.landmarks import LandmarkDetector, region_of_box, region_of_landmarks
from musetalk_core.face.points import points68
from musetalk_core.portraits.draw import Portrait
from musetalk_core.portraits.footage import PortraitFootage, portrait_footage
from musetalk_core.portraits.identity import FEMININE_STYLES, MASCULINE_STYLES, Identity
from musetalk_core.portraits.motion import (
    MAX_OPENING,
    MAX_PITCH,
    MAX_ROLL,
    MAX_YAW,
    EyeShape,
    HeadMotion,
    MouthCurve,
    MouthShape,
    Pose,
    speech_motion,
)
from musetalk_core.portraits.paint import Sheet, noise, polygon
from musetalk_core.portraits.points import face_points, mouth_outlines

SIZE = 288
OPENINGS = (0.0, 0.02, 0.05, 0.08, 0.11)


@pytest.fixture(scope="module")
def networks() -> tuple[FaceDetector, LandmarkDetector]:
    return FaceDetector(), LandmarkDetector()


@pytest.fixture(scope="module")
def portraits() -> list[Portrait]:
    return [Portrait.prepare(Identity.from_seed(seed), SIZE, SIZE) for seed in range(4)]


def locate(networks: tuple[FaceDetector, LandmarkDetector], frame: np.ndarray) -> np.ndarray:
    """(478, 3) landmarks of the best face, as the tracker finds them."""
    detector, landmarks = networks
    found = detector.detect(frame)
    assert len(found) >= 1
    first, _ = landmarks.locate(frame, region_of_box(found.boxes[0], found.eyes[0]))
    points, presence = landmarks.locate(frame, region_of_landmarks(first))
    assert presence > 0.5
    return points


def opening_of(points: np.ndarray) -> float:
    height = np.linalg.norm(points[10, :2] - points[152, :2])
    return float(np.linalg.norm(points[13, :2] - points[14, :2]) / height)


def test_a_seed_is_one_person() -> None:
    assert Identity.from_seed(5) == Identity.from_seed(5)
    people = [Identity.from_seed(seed) for seed in range(200)]
    assert len({repr(replace(person, seed=0)) for person in people}) == 200
    assert {person.hair for person in people} == set(MASCULINE_STYLES) | set(FEMININE_STYLES)
    assert {person.beard for person in people} >= {"none", "stubble", "moustache", "goatee", "full"}
    assert 20 < sum(person.glasses for person in people) < 80
    tones = sorted(sum(person.skin) / 3 for person in people)
    assert tones[10] < 110
    assert tones[-10] > 185


def test_the_same_frame_whenever_it_is_drawn() -> None:
    clip, again = (portrait_footage(3, 0.4, width=160, height=128) for _ in range(2))
    assert len(clip.clock) == 10
    frames = clip.read(range(10))
    assert frames.shape == (10, 128, 160, 3)
    assert frames.dtype == np.uint8
    assert np.array_equal(again.read([7, 2, 7]), frames[[7, 2, 7]])
    assert clip.digest() == again.digest()
    assert clip.digest() != portrait_footage(4, 0.4, width=160, height=128).digest()
    assert clip.digest() != portrait_footage(3, 0.4, width=160, height=128, faults=0.5).digest()
    assert clip.read([]).shape == (0, 128, 160, 3)


def test_found_by_the_detector_at_the_ends_of_the_range(
    networks: tuple[FaceDetector, LandmarkDetector], portraits: list[Portrait]
) -> None:
    ends = [
        Pose(),
        Pose(yaw=MAX_YAW, pitch=MAX_PITCH, roll=-MAX_ROLL),
        Pose(yaw=-MAX_YAW, pitch=-MAX_PITCH, roll=MAX_ROLL),
    ]
    for portrait in portraits:
        for pose in ends:
            for mouth in (MouthShape(), MouthShape(MAX_OPENING, 0.85, 0.5)):
                points = locate(networks, portrait.draw(pose, mouth, EyeShape()))
                truth = portrait.project(face_points(portrait, mouth, EyeShape()), pose)
                away = np.linalg.norm(points68(points)[:, :2] - truth, axis=1) / portrait.scale
                assert away.mean() < 0.055, (portrait.person.seed, pose, mouth)


def test_the_opening_given_is_the_opening_measured(
    networks: tuple[FaceDetector, LandmarkDetector], portraits: list[Portrait]
) -> None:
    asked, seen = [], []
    for portrait in portraits:
        for opening in OPENINGS:
            asked.append(opening)
            seen.append(opening_of(locate(networks, portrait.draw(Pose(), MouthShape(opening), EyeShape()))))
    given_, measured = np.array(asked), np.array(seen)
    assert np.corrcoef(given_, measured)[0, 1] > 0.97
    assert 0.85 < np.polyfit(given_, measured, 1)[0] < 1.15
    assert measured[given_ == 0].max() < 0.015


def test_only_the_face_below_the_brows_moves_with_the_mouth(portraits: list[Portrait]) -> None:
    portrait = portraits[0]
    shut, wide = (portrait.draw(Pose(), MouthShape(opening), EyeShape()) for opening in (0.0, 0.1))
    changed = np.argwhere((shut != wide).any(axis=-1))
    assert len(changed) > 500
    assert changed[:, 0].min() > portrait.y + 0.05 * portrait.scale


def test_a_shut_mouth_has_no_hole_and_an_open_one_has(portraits: list[Portrait]) -> None:
    for portrait in portraits:
        lips, hole = mouth_outlines(portrait, MouthShape())
        assert np.ptp(hole[:20, 1] - hole[:19:-1, 1]) < 1e-6
        assert np.ptp(lips[:, 1]) > 0.03
        _, hole = mouth_outlines(portrait, MouthShape(0.08))
        assert 0.07 < np.ptp(hole[:, 1]) < 0.12
        brightness = []
        for opening in (0.0, 0.08):
            frame = portrait.draw(Pose(), MouthShape(opening), EyeShape())
            _, inside = mouth_outlines(portrait, MouthShape(0.08))
            x, y = portrait.project(inside.mean(axis=0)[None], Pose())[0].astype(int)
            brightness.append(float(frame[y - 1 : y + 2, x - 2 : x + 3].mean()))
        assert brightness[1] < 0.7 * brightness[0]  # lip where the mouth is shut, the dark behind where it is open


def test_two_people_are_two_faces(networks: tuple[FaceDetector, LandmarkDetector]) -> None:
    clip = portrait_footage(11, 0.2, width=576, height=324, people=2)
    frame = clip.read([3])[0]
    found = networks[0].detect_all(frame)
    assert len(found) == 2
    centres = sorted((found.boxes[:, 0] + found.boxes[:, 2]) / 2)
    for actor, centre in enumerate(centres):
        nose = clip.truth(actor).landmarks[3, 30]
        assert abs(nose[0] - centre) < 0.1 * clip.width


def test_truth_has_one_entry_a_frame(portrait_clip: PortraitFootage) -> None:
    truth = portrait_clip.truth()
    n = len(portrait_clip.clock)
    assert truth.landmarks.shape == (n, 68, 2)
    assert truth.lips.shape == truth.inside.shape == (n, 40, 2)
    assert len(truth.opening) == len(truth.width) == len(truth.pose) == len(truth.eyes) == n
    assert (truth.landmarks > 0).all()
    assert (truth.landmarks < (portrait_clip.width, portrait_clip.height)).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([16, 25, 30]))
def test_motion_stays_in_range_and_speech_closes_the_lips(seed: int, fps: int) -> None:
    motion, mouth = HeadMotion.from_seed(seed, 8 * fps, fps, 1.5), speech_motion(seed, 8 * fps, fps, 1.4)
    for frame in range(0, len(motion), 3):
        motion.pose_at(frame)
        motion.eyes_at(frame)
        mouth.at(frame)
    assert (mouth.opening < 0.004).any()
    assert mouth.opening.max() > 0.03
    assert np.abs(np.diff(motion.pose[:, 0])).max() < 3.0 / fps  # no jumps: below 3 radians a second
    assert motion.eyes[:, 0].min() < 0.3  # somebody who never blinks is not alive


def test_curves_of_a_real_speaker() -> None:
    opening = np.array([0.004, np.nan, 0.06, 0.3, -0.1, 0.004])
    width = np.array([0.26, np.nan, 0.22, 0.31, 0.26, 0.26])
    curve = MouthCurve.measured(opening, width)
    assert curve.opening == pytest.approx([0.004, 0.032, 0.06, MAX_OPENING, 0.0, 0.004])
    assert curve.width == pytest.approx([1.0, 0.24 / 0.26, 0.22 / 0.26, 0.31 / 0.26, 1.0, 1.0])
    assert curve.rounding[2] > curve.rounding[0] == 0
    assert (MouthCurve.measured(opening).width == 1).all()
    with pytest.raises(MuseTalkError):
        MouthCurve.measured(np.full(3, np.nan))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Pose(yaw=MAX_YAW + 0.01),
        lambda: Pose(pitch=-MAX_PITCH - 0.01),
        lambda: MouthShape(MAX_OPENING + 0.01),
        lambda: MouthShape(width=2.0),
        lambda: MouthShape(rounding=-0.1),
        lambda: portrait_footage(0, 1, people=3),
        lambda: portrait_footage(0, 1, mouth=speech_motion(0, 5, 25)),
    ],
)
def test_what_cannot_be_drawn_is_refused(wrong) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(MuseTalkError):
        wrong()


def test_a_polygon_covers_its_area() -> None:
    sheet = Sheet.over(-1, -1, 1, 1, 100)
    square = polygon(sheet, np.array([(-0.5, -0.25), (0.5, -0.25), (0.5, 0.25), (-0.5, 0.25)]))
    assert square.sum() / 100**2 == pytest.approx(0.5, abs=0.025)  # OpenCV's edge adds a third of a pixel
    columns = np.flatnonzero(square.sum(axis=0))
    assert columns.mean() == pytest.approx(99.5, abs=0.51)


@pytest.mark.parametrize("cell", [1.0, 6.0, 40.0])
def test_noise_has_its_deviation(cell: float) -> None:
    field = noise(np.random.default_rng(1), (400, 400), cell)
    assert field.shape == (400, 400)
    assert 0.6 < field.std() < 1.4


@pytest.mark.slow
def test_two_hundred_people_are_found_in_every_pose(networks: tuple[FaceDetector, LandmarkDetector]) -> None:
    for seed in range(200):
        portrait = Portrait.prepare(Identity.from_seed(seed), SIZE, SIZE)
        rng = np.random.default_rng(seed)
        for _ in range(4):
            yaw, pitch, roll = rng.uniform(-1, 1, 3) * (MAX_YAW, MAX_PITCH, MAX_ROLL)
            mouth = MouthShape(float(rng.uniform(0, MAX_OPENING)), float(rng.uniform(0.8, 1.2)))
            eyes = EyeShape(opening=float(rng.choice([0.0, 0.5, 1.0])), brow=float(rng.uniform(-1, 1)))
            locate(networks, portrait.draw(Pose(float(yaw), float(pitch), float(roll)), mouth, eyes))
