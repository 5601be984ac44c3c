"""The head at rest: skin, ears, brows, beard, hair and glasses, put together once for each portrait."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .hair import Layer, paint_hair
from .identity import Identity
from .light import Light, cast_shadow, irradiance, openness
from .paint import Sheet, blur, bump, mix, polygon, smoothstep, to_display, to_light
from .skin import Skin, paint_skin
from .surface import Layout
from .whiskers import brow_layer, lay_beard

EAR_X, EAR_Y, EAR_WIDE, EAR_TALL = 0.408, 0.085, 0.046, 0.112


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Everything on the head that only moves by being warped.

    Args:
        skin: (H, W, 4) float32, display colours and coverage, of skin, ears, brows and beard.
        back: hair behind, or None. front: hair and glasses before the face, or None.
        depth: (H, W) resting face, for light on lips.
        pose_depth: (H, W) the same without steep slopes, for turning the head.
        shadow: (H, W) share of the main light that arrives.
        shine: (H, W, 3) irradiance.
    """

    skin: np.ndarray
    back: Layer | None
    front: Layer | None
    depth: np.ndarray
    pose_depth: np.ndarray
    shadow: np.ndarray
    shine: np.ndarray


def paint_head(person: Identity, sheet: Sheet, light: Light) -> Head:
    """Draw a person's head at rest."""
    back, front = paint_hair(person, sheet, light)
    brows = brow_layer(person, sheet, Layout.of(person.shape).brow_y)
    dark = 0.35 * blur(brows, 0.012 * sheet.scale)
    if front is not None:
        shift = np.array([[1, 0, -light.direction[0] * 0.025 * sheet.scale], [0, 1, 0.022 * sheet.scale]], np.float32)
        dark = np.maximum(dark, _moved(blur(front.alpha, 0.020 * sheet.scale), shift))
    glasses = _glasses(person, sheet, light) if person.glasses else None
    if glasses is not None:
        shift = np.array([[1, 0, 0], [0, 1, 0.02 * sheet.scale]], np.float32)
        dark = np.maximum(dark, 0.5 * _moved(blur(glasses.alpha, 0.006 * sheet.scale), shift))
    skin = paint_skin(person, sheet, light, dark.astype(np.float32))
    color, alpha = to_display(skin.light), skin.alpha
    color, alpha = _with_ears(person, sheet, light, color, alpha)
    hair = np.array(person.brow_color, np.float32) / 255
    glow = np.clip(skin.shine.mean(axis=-1, keepdims=True), 0.05, 1.3) ** (1 / 2.2)
    color = mix(color, hair * glow * 0.95, brows)
    color, alpha = lay_beard(person, sheet, color, alpha, glow)
    if glasses is not None:
        front = glasses if front is None else Layer(
            mix(front.color, glasses.color, glasses.alpha), np.maximum(front.alpha, glasses.alpha)
        )  # fmt: skip
    shadow = cast_shadow(skin.depth, sheet.scale, light)
    return Head(
        skin=np.dstack([color, alpha]).astype(np.float32), back=back, front=front, depth=skin.depth,
        pose_depth=_pose_depth(skin, sheet), shadow=shadow, shine=skin.shine,
    )  # fmt: skip


def _moved(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    import cv2

    return np.asarray(cv2.warpAffine(image, matrix, image.shape[::-1]))


def _pose_depth(skin: Skin, sheet: Sheet) -> np.ndarray:
    """Depth by which the head turns: a gentle dome, so that no line of sight meets it twice, and the features."""
    ratio = np.clip(skin.ratio, 0, 1.15)
    sharp = -0.44 * (1 - np.sqrt(1 - np.clip(skin.ratio, 0, 1) ** 2.5))
    features = blur((skin.depth - sharp).astype(np.float32), 0.012 * sheet.scale)
    return np.asarray(-0.30 * ratio**2.2 + features, np.float32)


def _with_ears(
    person: Identity, sheet: Sheet, light: Light, color: np.ndarray, alpha: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ears behind the face's outline."""
    size = person.shape.ear
    for side in (-1, 1):
        cx = side * EAR_X * person.shape.cheek
        part, where = sheet.window(cx - 0.09, EAR_Y - 0.16, cx + 0.09, EAR_Y + 0.16)
        u = (part.x - cx) * side / (EAR_WIDE * size)
        v = (part.y - EAR_Y) / (EAR_TALL * size)
        u = u - 0.28 * (-v) * 0.6 + 0.10  # ears lean outwards at the top
        wide = 1 + 0.16 * np.clip(-v, -1, 1) - 0.10 * np.clip(v, 0, 1)
        r = np.sqrt((u / wide) ** 2 + v**2)
        rim = np.exp(-0.5 * ((r - 0.84) / 0.10) ** 2) * smoothstep(0.95, 0.2, v)
        inner = np.exp(-0.5 * ((r - 0.50) / 0.12) ** 2) * smoothstep(-0.5, 0.1, u) * smoothstep(0.6, 0.2, v)
        bowl = bump(u + 0.28, v - 0.18, 0.30, 0.30)
        z = (0.020 * rim + 0.014 * inner - 0.030 * bowl + 0.012 * bump(u, v - 0.8, 0.4, 0.2)).astype(np.float32)
        z = z + 0.03 * np.clip(1 - r, 0, 1).astype(np.float32) ** 0.5
        sky = openness(z * 1.2, part.scale) * (0.62 - 0.26 * bowl)
        shine = irradiance(z, part.scale, light, np.clip(sky, 0, 1), sky)
        side_lit = 0.72 + 0.28 * np.sign(light.direction[0]) * side
        tint = to_light(person.skin) * np.array([1.0, 0.84, 0.84], np.float32)
        ear = to_display((tint * shine * side_lit).astype(np.float32))
        shape = np.clip((1 - r) * EAR_WIDE * size * part.scale * 1.1 + 0.5, 0, 1).astype(np.float32)
        over = alpha[where]
        total = np.maximum(over, shape)
        color[where] = mix(ear, color[where], np.where(total > 0, over / np.maximum(total, 1e-4), 1).astype(np.float32))
        alpha[where] = total
    return color, alpha


def _glasses(person: Identity, sheet: Sheet, light: Light) -> Layer:
    """A frame with two lenses, its bridge and temples; the lenses shine a little."""
    rng = np.random.default_rng([person.seed, 83])
    place = Layout.of(person.shape)
    round_ = float(rng.uniform(2.2, 4.5))
    width, tall = 0.118, float(rng.uniform(0.078, 0.098))
    thick = float(rng.uniform(0.0045, 0.009))
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    cos, sin = np.cos(angle), np.sin(angle)
    rim = np.stack(
        [np.sign(cos) * np.abs(cos) ** (2 / round_) * width, np.sign(sin) * np.abs(sin) ** (2 / round_) * tall], 1
    )
    frame = np.zeros(sheet.shape, np.float32)
    lens = np.zeros(sheet.shape, np.float32)
    for side in (-1, 1):
        centre = np.array([side * (place.eye_x + 0.004), place.eye_y + 0.012])
        outer = polygon(sheet, rim * (1 + thick / width) + centre)
        inner = polygon(sheet, rim * (1 - thick / width) + centre)
        frame = np.maximum(frame, outer - inner)
        lens = np.maximum(lens, inner)
        temple = np.array([(place.eye_x + width, -0.012), (0.405, 0.012), (0.405, 0.028), (place.eye_x + width, 0.006)])
        frame = np.maximum(frame, polygon(sheet, temple * (side, 1)))
    x = np.linspace(-1, 1, 30)
    gap = place.eye_x - width + 0.006
    top = np.stack([x * gap, -0.010 - 0.014 * (1 - x**2)], axis=1)
    frame = np.maximum(frame, polygon(sheet, np.concatenate([top, top[::-1] + np.array([0, 0.011])])))
    edge = blur(frame, 0.0025 * sheet.scale)
    shine = irradiance(
        (edge * 0.02).astype(np.float32), sheet.scale, light, np.ones_like(edge), np.ones_like(edge), 0.0
    )
    color = to_display((to_light(person.frame_color) * shine + 0.02 * shine**4).astype(np.float32))
    streak = np.exp(-0.5 * (((sheet.x * 0.7 + sheet.y) % 0.34 - 0.06) / 0.02) ** 2)
    glare = (lens * (0.035 + 0.10 * streak * smoothstep(0.05, -0.05, sheet.y))).astype(np.float32)
    total = np.maximum(frame, glare)
    white = np.full_like(color, 0.95)
    return Layer(mix(white, color, (frame > glare).astype(np.float32)), total.astype(np.float32))
