"""The face as a surface: where features lie, the outline, the depth, and how skin moves when the mouth opens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .identity import FaceShape
from .paint import Sheet, bump, curve, smoothstep

# Where features lie on the mean face, in face units. Measured with MediaPipe's 478 points on 19 speakers, facing.
FOREHEAD_Y, CHIN_Y = -0.296, 0.704
EYE_X, EYE_Y, EYE_HALF = 0.171, 0.019, 0.077
BROW_INNER, BROW_OUTER, BROW_Y = 0.068, 0.305, -0.082
NOSE_TIP_Y, NOSE_BASE_Y, NOSE_HALF = 0.222, 0.294, 0.104
MOUTH_Y, MOUTH_HALF = 0.428, 0.135
LIP_UPPER, LIP_LOWER = 0.040, 0.056  # heights of the closed lips
CENTRE_Y = 0.14  # centre of the outline's polar form
EAR_DEPTH = 0.44  # of the face's outline behind the nasion
CHIN_PER_GAP = 0.62  # how far the chin goes down when the lips part by 1; the lower lip moves further
UPPER_SHARE = 0.14  # of the gap, made by the upper lip


@dataclass(frozen=True, slots=True)
class Layout:
    """Where this person's features lie, in face units."""

    eye_x: float
    eye_y: float
    eye_half: float
    mouth_y: float
    mouth_half: float
    nose_half: float
    nose_tip_y: float
    nose_base_y: float
    brow_y: float

    @classmethod
    def of(cls, shape: FaceShape) -> Layout:
        """The layout that a shape asks for."""
        base = NOSE_BASE_Y * shape.nose_length
        return cls(
            eye_x=EYE_X * shape.eye_gap,
            eye_y=EYE_Y,
            eye_half=EYE_HALF * shape.eye_size,
            mouth_y=MOUTH_Y + shape.mouth_drop + (base - NOSE_BASE_Y) * 0.6,
            mouth_half=MOUTH_HALF * shape.mouth_width,
            nose_half=NOSE_HALF * shape.nose_width,
            nose_tip_y=NOSE_TIP_Y * shape.nose_length,
            nose_base_y=base,
            brow_y=BROW_Y - shape.brow_lift,
        )


def outline(shape: FaceShape, samples: int = 240) -> np.ndarray:
    """Radius of the head's skin around (0, CENTRE_Y) at angles -pi .. pi (0 is right, positive down), (samples,)."""
    point = shape.chin_point
    jaw, cheek, brow = shape.jaw, shape.cheek, shape.forehead
    half = np.array(
        [
            (0.0, -0.535), (0.15, -0.515), (0.275 * brow, -0.435), (0.352 * brow, -0.31), (0.388 * brow, -0.15),
            (0.396 * cheek, 0.0), (0.393 * cheek, 0.12), (0.381 * cheek, 0.23), (0.352 * cheek * jaw**0.5, 0.37),
            (0.316 * jaw, 0.48), (0.263 * jaw, 0.565), (0.188 * jaw - 0.028 * point, 0.640),
            (0.098 * jaw - 0.03 * point, 0.690), (0.0, 0.706),
        ]
    )  # fmt: skip
    dense = np.stack([curve(np.linspace(0, 13, 400), list(range(14)), half[:, a].tolist()) for a in (0, 1)], 1)
    dense[:, 1] -= CENTRE_Y
    angle, radius = np.arctan2(dense[:, 1], dense[:, 0]), np.hypot(dense[:, 0], dense[:, 1])
    grid = np.linspace(-np.pi, np.pi, samples, endpoint=False)
    folded = np.where(np.abs(grid) > np.pi / 2, np.sign(grid) * np.pi - grid, grid)
    result = np.interp(folded, angle, radius)
    kernel = np.exp(-0.5 * (np.arange(-6, 7) / 2.2) ** 2)
    padded = np.concatenate([result[-6:], result, result[:6]])
    return np.asarray(np.convolve(padded, kernel / kernel.sum(), "valid"), np.float32)


def radius_at(radii: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance from the outline's centre over the outline's radius there, and that radius, both (H, W)."""
    dx, dy = np.broadcast_arrays(x, y - CENTRE_Y)
    at = (np.arctan2(dy, dx) / (2 * np.pi) + 0.5) * len(radii)
    low = np.floor(at).astype(np.int64)
    part = (at - low).astype(np.float32)
    limit = radii[low % len(radii)] * (1 - part) + radii[(low + 1) % len(radii)] * part
    return np.asarray(np.hypot(dx, dy) / limit, np.float32), limit


def dome(ratio: np.ndarray) -> np.ndarray:
    """Depth of the bare head, 0 in the middle and -EAR_DEPTH at its outline and beyond."""
    return np.asarray(-EAR_DEPTH * (1 - np.sqrt(1 - np.clip(ratio, 0, 1) ** 2.5)), np.float32)


def height(shape: FaceShape, sheet: Sheet, ratio: np.ndarray, age: float) -> np.ndarray:
    """Depth of the resting face without lips and lids, (H, W) face units."""
    x, y = sheet.x, sheet.y
    place = Layout.of(shape)
    side = np.abs(x)
    z = dome(ratio)
    ridge = shape.brow_ridge
    z += 0.014 * ridge * bump(side - 0.15, y - (place.brow_y + 0.012), 0.10, 0.030)
    z += 0.006 * bump(x, y + 0.06, 0.06, 0.04)
    z -= 0.040 * bump(side - place.eye_x, y - place.eye_y + 0.004, 0.082, 0.046)
    z -= 0.024 * bump(side - 0.088, y - 0.012, 0.026, 0.040)
    z += 0.034 * bump(side - place.eye_x, y - place.eye_y, 0.060, 0.036)
    z += 0.024 * shape.cheekbone * bump(side - 0.245, y - 0.155, 0.075, 0.060)
    z -= (0.016 + 0.014 * age) * bump(side - 0.235, y - 0.350, 0.065, 0.085)
    z -= 0.012 * bump(side - 0.37, y + 0.10, 0.05, 0.10)
    z += _nose(shape, place, x, y)
    mouth = place.mouth_y
    z += 0.034 * bump(x, y - mouth + 0.005, 0.105, 0.075)
    z -= 0.0035 * bump(x, y - (mouth + place.nose_base_y) / 2 + 0.008, 0.011, 0.026)
    z += 0.0030 * bump(side - 0.020, y - (mouth + place.nose_base_y) / 2, 0.009, 0.030)
    z -= 0.016 * bump(x, y - mouth - 0.115, 0.085, 0.021)
    z += 0.032 * shape.chin * bump(x, y - 0.625, 0.070, 0.042)
    z -= 0.0025 * shape.chin * bump(x, y - 0.64, 0.008, 0.03) * (1 - shape.chin_point)
    fold = 0.108 * shape.nose_width + 0.075 * smoothstep(place.nose_base_y - 0.04, mouth + 0.03, y)
    along = smoothstep(place.nose_base_y - 0.06, place.nose_base_y, y) * smoothstep(mouth + 0.06, mouth - 0.02, y)
    z -= (0.003 + 0.010 * shape.nasolabial) * along * np.exp(-0.5 * ((side - fold) / 0.013) ** 2)
    z += 0.006 * shape.nasolabial * along * np.exp(-0.5 * ((side - fold - 0.03) / 0.022) ** 2)
    if age > 0.35:
        lines = np.sin((y + 0.17 + 0.02 * np.cos(x * 9)) * 2 * np.pi / 0.052)
        z += (age - 0.35) * 0.0022 * lines * bump(x, y + 0.18, 0.16, 0.05)
        z -= (age - 0.3) * 0.006 * bump(side - place.eye_x - 0.004, y - 0.088, 0.055, 0.010)
    return np.asarray(z, np.float32)


def _nose(shape: FaceShape, place: Layout, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The nose above the face's plane."""
    longer = shape.nose_length
    knots = [k * longer for k in (-0.07, -0.02, 0.03, 0.08, 0.13, 0.18, 0.222, 0.252, 0.278, 0.300, 0.325)]
    bridge, tip = shape.nose_bridge, shape.nose_tip
    side = np.abs(x)
    under = y + (0.30 * side + 1.2 * side**2) * smoothstep(place.nose_tip_y - 0.01, place.nose_tip_y + 0.03, y)
    ridge = curve(
        under, knots,
        [0.0, 0.008 * bridge, 0.022 * bridge, 0.042 * bridge, 0.066 * bridge, 0.090, 0.108 * tip, 0.104 * tip,
         0.062 * tip, 0.016, 0.0],
    )  # fmt: skip
    widths = [0.040, 0.028, 0.025, 0.027, 0.031, 0.036, 0.041, 0.043, 0.040, 0.034, 0.030]
    broad = curve(y, knots, [w * (0.6 + 0.4 * shape.nose_width) for w in widths])
    z = ridge * np.exp(-0.5 * np.abs(x / broad) ** 2.2)
    tip_y = place.nose_tip_y
    z = z + 0.020 * tip * bump(x, y - tip_y - 0.010, 0.028, 0.026)
    wing = place.nose_half - 0.029
    wing_y = place.nose_base_y - 0.044
    z += 0.042 * np.exp(-0.5 * (((side - wing) / 0.0245) ** 2 + ((y - wing_y) / 0.0250) ** 2) ** 1.25)
    z -= 0.010 * bump(side - place.nose_half - 0.006, y - wing_y - 0.004, 0.010, 0.024)
    z -= 0.005 * bump(side - wing + 0.004, y - wing_y + 0.036, 0.018, 0.012)
    z -= 0.022 * bump(side - 0.40 * place.nose_half, y - place.nose_base_y + 0.014, 0.014, 0.010)
    return np.asarray(z, np.float32)


def lopsided(shape: FaceShape, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far a point of an even face lies from where this person has it: no face is quite even.

    Args:
        shape: whose face.
        x, y: face units, any shape.

    Returns:
        Shifts in x and y, face units, as large as a few thousandths, so that its inverse is its negative.
    """
    nose, mouth, brows, corners = shape.uneven
    low = np.exp(-0.5 * ((y - 0.46) / 0.14) ** 2)
    side = np.tanh(x / 0.12)
    right = nose * np.exp(-0.5 * ((y - 0.22) / 0.09) ** 2 - 0.5 * (x / 0.12) ** 2) + mouth * low
    down = brows * side * np.exp(-0.5 * ((y + 0.07) / 0.09) ** 2) + corners * side * low
    return np.asarray(right, np.float32), np.asarray(down, np.float32)


def skin_source(sheet: Sheet, place: Layout, gap: float, width: float, brow: float) -> tuple[np.ndarray, np.ndarray]:
    """From which point of the resting face each pixel of the moving face takes its skin, (H, W) each, x and y."""
    x, y = np.broadcast_arrays(sheet.x, sheet.y)
    return skin_source_at(x, y, place, gap, width, brow)


def skin_source_at(
    x: np.ndarray, y: np.ndarray, place: Layout, gap: float, width: float, brow: float
) -> tuple[np.ndarray, np.ndarray]:
    """From which point of the resting face points of the moving face take their skin.

    Args:
        x, y: places on the moving face, face units, any shape.
        place: the person's layout.
        gap: face units between the inner lips.
        width: half width of the mouth.
        brow: face units that the brows go up.
    """
    drop = CHIN_PER_GAP * gap
    side = np.abs(x)
    # the jaw swings: nothing above the lips, all at the chin, less far out at the hinge below the ears
    fall = smoothstep(place.mouth_y - 0.06, place.mouth_y + 0.17, y) * (1 - 0.55 * smoothstep(0.20, 0.40, side))
    stretch = (width - place.mouth_half) * np.exp(-0.5 * ((side - place.mouth_half - 0.03) / 0.062) ** 2)
    stretch = stretch * np.exp(-0.5 * ((y - place.mouth_y - 0.01) / 0.075) ** 2)
    pinch = 0.10 * drop * bump(side - 0.27, y - place.mouth_y - 0.02, 0.07, 0.10)  # cheeks go in as the jaw goes down
    lift = brow * bump(side - 0.17, y - place.brow_y + 0.02, 0.15, 0.055)
    cheek = 0.35 * np.clip(width - place.mouth_half, 0, 1) * bump(side - 0.2, y - 0.27, 0.08, 0.09)
    return (
        np.asarray(x - np.sign(x) * (stretch - pinch), np.float32),
        np.asarray(y - drop * fall + lift + cheek, np.float32),
    )
