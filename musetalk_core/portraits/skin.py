"""Skin: its colour from place to place, and the resting face in its light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .identity import Identity
from .light import Light, cast_shadow, gloss, irradiance, openness
from .paint import Sheet, blur, bump, noise, smoothstep, to_light
from .surface import Layout, height, outline, radius_at


@dataclass(frozen=True, slots=True, eq=False)
class Skin:
    """The resting face, lit.

    Args:
        light: (H, W, 3) linear light that the skin sends out.
        alpha: (H, W) 0..1, inside the head's outline.
        depth: (H, W) face units, smooth, without pores; used to turn the head.
        ratio: (H, W) distance from the middle over the outline's.
        shine: (H, W, 3) irradiance, for what is painted on the skin later.
    """

    light: np.ndarray
    alpha: np.ndarray
    depth: np.ndarray
    ratio: np.ndarray
    shine: np.ndarray


def paint_skin(person: Identity, sheet: Sheet, light: Light, dark: np.ndarray) -> Skin:
    """Draw the resting face without eyes, mouth and hair.

    Args:
        person: whom.
        sheet: where.
        light: in which light.
        dark: (H, W) 0..1, shadow that hair, brows or glasses throw on the skin.
    """
    rng = np.random.default_rng([person.seed, 11])
    ratio, limit = radius_at(outline(person.shape), sheet.x, sheet.y)
    depth = height(person.shape, sheet, ratio, person.age)
    pores = noise(rng, sheet.shape, 0.0045 * sheet.scale) + 0.7 * noise(rng, sheet.shape, 0.009 * sheet.scale)
    rough = depth + pores * (0.00016 + 0.00022 * person.age + 0.00008 * (1 - person.feminine)) * smoothstep(
        1.0, 0.9, ratio
    )
    scale = sheet.scale
    shadow = cast_shadow(depth, scale, light) * (1 - 0.55 * dark)
    sky = openness(depth, scale) * (1 - 0.35 * dark)
    shine = irradiance(rough.astype(np.float32), scale, light, shadow, sky)
    albedo = skin_color(person, sheet, rng)
    glow = albedo * shine
    oily = 0.35 + 0.65 * (
        bump(sheet.x, sheet.y + 0.2, 0.16, 0.09) + bump(sheet.x, sheet.y - 0.14, 0.035, 0.13)
        + bump(np.abs(sheet.x) - 0.24, sheet.y - 0.14, 0.07, 0.05)
    )  # fmt: skip
    sheen = gloss(rough.astype(np.float32), scale, light, shadow, 14) * 0.055 + gloss(
        rough.astype(np.float32), scale, light, shadow, 60
    ) * 0.085 * np.clip(oily, 0, 1.2)
    sheen *= 1 + 0.12 * pores
    glow += sheen[..., None] * light.key * (0.75 - 0.25 * person.makeup)
    alpha = np.clip((1 - ratio) * limit * scale * 0.7 + 0.5, 0, 1)
    return Skin(glow.astype(np.float32), alpha.astype(np.float32), depth, ratio, shine)


def skin_color(person: Identity, sheet: Sheet, rng: np.random.Generator) -> np.ndarray:
    """Albedo of the face, (H, W, 3) linear: redder cheeks, nose and chin, yellower forehead, darker around the eyes."""
    x, y = sheet.x, sheet.y
    side = np.abs(x)
    place = Layout.of(person.shape)
    base = to_light(person.skin)
    blood = person.ruddy * (
        0.8 * bump(side - 0.235, y - 0.205, 0.085, 0.070)
        + 0.7 * bump(x, y - place.nose_tip_y - 0.01, 0.055, 0.045)
        + 0.25 * bump(x, y - 0.64, 0.07, 0.04)
        + 0.35 * bump(side - place.eye_x, y - 0.05, 0.06, 0.02)
        + 0.3 * bump(side - 0.41, y - 0.12, 0.05, 0.10)
    )
    blotch = noise(rng, sheet.shape, 0.06 * sheet.scale) * 0.5 + noise(rng, sheet.shape, 0.02 * sheet.scale) * 0.35
    blood = blood * (1 + 0.35 * blotch) + 0.08 * blotch
    blood = np.clip(blood, -0.3, 1.4)[..., None]
    depth = float(base.mean())
    red = np.array([1.0 - 0.02, 0.78, 0.80], np.float32)
    color = base * (1 + (red - 1) * blood * (0.95 - 0.35 * min(1.0, depth * 1.6)))
    middle = bump(x, y - 0.17, 0.30, 0.11)[..., None]  # the face's middle third carries more blood
    color = color * (1 - middle * np.array([0.0, 0.055, 0.045], np.float32) * (0.6 + person.ruddy))
    yellow = bump(x, y + 0.18, 0.22, 0.10)[..., None]
    color = color * (1 + yellow * np.array([0.02, 0.01, -0.06], np.float32))
    tired = 0.5 * bump(side - place.eye_x + 0.01, y - 0.064, 0.06, 0.022) + 0.8 * bump(
        side - 0.1, y - 0.03, 0.025, 0.03
    )
    tired = (tired * (0.55 + 0.45 * person.age))[..., None]
    color = color * (1 - tired * np.array([0.20, 0.26, 0.20], np.float32))
    lids = bump(side - place.eye_x - 0.01, y - place.eye_y + 0.035, 0.062, 0.024)[..., None]
    color = color * (1 - lids * np.array([0.10, 0.18, 0.16], np.float32) * (0.7 + person.makeup))
    color = color * (1 + 0.035 * noise(rng, sheet.shape, 0.008 * sheet.scale)[..., None] * np.float32(0.8))
    if person.freckles > 0:
        color = color * (1 - _freckles(person, sheet, rng)[..., None] * np.array([0.30, 0.46, 0.55], np.float32))
    for _ in range(int(rng.random() < 0.25)):  # moles
        at = rng.uniform((-0.27, 0.08), (0.27, 0.6))
        spot = bump(x - at[0], y - at[1], 0.0042, 0.0042)[..., None]
        color = color * (1 - 0.6 * spot * np.array([0.8, 1.0, 1.0], np.float32))
    off = side - place.nose_half * 0.40
    nostril = bump(off, y - place.nose_base_y + 0.014 - 0.30 * np.abs(off + 0.003), 0.0150, 0.0062)
    nostril = np.clip(1.4 * nostril - 0.15, 0, 1)[..., None]
    color = color * (1 - nostril * np.array([0.72, 0.86, 0.86], np.float32))
    return np.asarray(color, np.float32)


def _freckles(person: Identity, sheet: Sheet, rng: np.random.Generator) -> np.ndarray:
    """Density of freckles, (H, W) 0..1: small soft spots over cheeks and nose."""
    count = int(420 * person.freckles)
    at = rng.normal((0, 0.13), (0.17, 0.075), (count, 2))
    pixels = np.round(sheet.pixels(at)).astype(np.int64)
    inside = ((pixels >= 2) & (pixels < np.array(sheet.shape[::-1]) - 2)).all(axis=1)
    spots = np.zeros(sheet.shape, np.float32)
    spots[pixels[inside, 1], pixels[inside, 0]] += rng.uniform(0.2, 1, int(inside.sum())).astype(np.float32)
    sigma = 0.0034 * sheet.scale
    return np.clip(blur(spots, sigma) * 2 * np.pi * sigma**2 * 0.9, 0, 1)
