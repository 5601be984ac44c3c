"""Ground truth of a drawn face: where its 68 points and its lips lie, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .motion import EyeShape, MouthShape
from .mouth import INSIDE, lip_lines
from .surface import CENTRE_Y, outline, skin_source_at

if TYPE_CHECKING:
    from .draw import Portrait

# The jaw's points of the mean face, from the right temple of the person to the chin; only their direction is used.
JAW = (
    (-0.395, -0.03),
    (-0.398, 0.129),
    (-0.388, 0.219),
    (-0.345, 0.418),
    (-0.308, 0.498),
    (-0.268, 0.556),
    (-0.175, 0.642),
    (-0.085, 0.687),
    (0.0, 0.705),
)
LIP_RIM = 40  # points on each of the mouth's outlines
# Places of the 12 outer and 8 inner lip points over the mouth's half width, in 68-point order.
OUTER_UPPER, OUTER_LOWER = (-1.0, -0.58, -0.29, 0.0, 0.29, 0.58, 1.0), (0.60, 0.33, 0.0, -0.33, -0.60)
INNER_UPPER, INNER_LOWER = (-0.90, -0.33, 0.0, 0.33, 0.90), (0.33, 0.0, -0.33)


def face_points(portrait: Portrait, mouth: MouthShape, eyes: EyeShape) -> np.ndarray:
    """The usual 68 points of the face at rest in space, facing: (68, 2) face units."""
    person, place = portrait.person, portrait.place
    gap, half = portrait.gap(mouth.opening), place.mouth_half * mouth.width
    radii = outline(person.shape)
    way = np.array(JAW) - (0, CENTRE_Y)
    angle = np.arctan2(way[:, 1], way[:, 0])
    grid = np.linspace(-np.pi, np.pi, len(radii), endpoint=False)
    radius = np.interp(angle, grid, radii, period=2 * np.pi)
    jaw = np.stack([np.cos(angle) * radius, np.sin(angle) * radius + CENTRE_Y], axis=1)
    jaw = np.concatenate([jaw, jaw[-2::-1] * (-1, 1)])
    jaw = _moved(portrait, jaw, gap, half, eyes)
    arch = person.shape.brow_arch
    brow_y = place.brow_y + np.array([0.004, -0.020 * arch, -0.030 * arch, -0.024 * arch, -0.004])
    brow = np.stack([np.array([-0.300, -0.262, -0.205, -0.140, -0.078]), brow_y], axis=1)
    brows = _moved(portrait, np.concatenate([brow, brow[::-1] * (-1, 1)]), gap, half, eyes)
    bridge = np.stack([np.zeros(4), place.nose_tip_y * np.array([0.0, 0.40, 0.76, 1.0])], axis=1)
    base_y = place.nose_base_y
    base = [(-0.80, -0.020), (-0.46, -0.008), (0.0, 0.0), (0.46, -0.008), (0.80, -0.020)]
    nose = np.array([(a * place.nose_half, base_y + b) for a, b in base])
    return np.concatenate([jaw, brows, bridge, nose, _eyes(portrait, eyes), _lips(portrait, gap, half, mouth)])


def mouth_outlines(portrait: Portrait, mouth: MouthShape) -> tuple[np.ndarray, np.ndarray]:
    """Closed outlines around the lips and of what is open between them, (40, 2) face units each."""
    gap, half = portrait.gap(mouth.opening), portrait.place.mouth_half * mouth.width
    t = np.cos(np.linspace(np.pi, 0, LIP_RIM // 2))
    x = t * half
    lines = lip_lines(portrait.person, t, gap, half, mouth.rounding)
    inner = lip_lines(portrait.person, t * INSIDE, gap, half, mouth.rounding)
    return (
        np.concatenate([np.stack([x, lines.outer_upper], 1), np.stack([x, lines.outer_lower], 1)[::-1]]),
        np.concatenate(
            [np.stack([x * INSIDE, inner.inner_upper], 1), np.stack([x * INSIDE, inner.inner_lower], 1)[::-1]]
        ),
    )


def _moved(portrait: Portrait, points: np.ndarray, gap: float, half: float, eyes: EyeShape) -> np.ndarray:
    """Where skin points of the resting face go; the inverse of `skin_source`, by repetition."""
    from .draw import BROW_TRAVEL

    moved = points.copy()
    for _ in range(6):
        x, y = skin_source_at(moved[:, 0], moved[:, 1], portrait.place, gap, half, eyes.brow * BROW_TRAVEL)
        moved = moved + points - np.stack([x, y], axis=1)
    return moved


def _eyes(portrait: Portrait, eyes: EyeShape) -> np.ndarray:
    """Corners and lids of both eyes, (12, 2)."""
    place, tilt = portrait.place, portrait.person.shape.eye_tilt
    u = np.array([1.0, 0.36, -0.36, -1.0, -0.36, 0.36])  # outer corner, upper lid, inner corner, lower lid
    edge, low, _ = portrait.eyes.lids(u, eyes.opening)
    v = np.where(np.arange(6) < 3, edge, low)
    v[[0, 3]] = 0
    left = np.stack([-(place.eye_x + u * place.eye_half), place.eye_y + (v - u * tilt) * place.eye_half], axis=1)
    right = left * (-1, 1)
    return np.concatenate([left, right[[3, 2, 1, 0, 5, 4]]])


def _lips(portrait: Portrait, gap: float, half: float, mouth: MouthShape) -> np.ndarray:
    """The 20 lip points, (20, 2)."""
    parts = []
    edges = ("outer_upper", "outer_lower", "inner_upper", "inner_lower")
    for places, name in zip((OUTER_UPPER, OUTER_LOWER, INNER_UPPER, INNER_LOWER), edges, strict=True):
        t = np.array(places)
        lines = lip_lines(portrait.person, t, gap, half, mouth.rounding)
        parts.append(np.stack([t * half, getattr(lines, name)], axis=1))
    return np.concatenate(parts)
