"""Hair on the face: brows, stubble, beards."""

from __future__ import annotations

import numpy as np

from .identity import Identity
from .paint import Sheet, blur, bump, curve, mix, noise, polygon, smoothstep, spline, strokes
from .surface import Layout


def brow_layer(person: Identity, sheet: Sheet, brow_y: float) -> np.ndarray:
    """Coverage of the brows' hairs over the face, (H, W) 0..1."""
    rng = np.random.default_rng([person.seed, 61])
    shape = person.shape
    cover = np.zeros(sheet.shape, np.float32)
    thick = 0.027 * shape.brow_thick
    count = 300
    for side in (-1, 1):
        u = np.sort(rng.uniform(0, 1, count) ** 0.9)
        body = np.clip(
            np.minimum(1.0, (u + 0.12) * 4.5) * (1 - 0.75 * np.clip((u - 0.45) / 0.55, 0, 1) ** 1.3), 0.10, 1
        )
        spread = rng.uniform(-0.5, 0.5, count)
        x = 0.070 + 0.222 * u
        arch = curve(u, [0, 0.3, 0.62, 1.0], [0.004, -0.013 * shape.brow_arch, -0.022 * shape.brow_arch, 0.006])
        y = brow_y + arch + spread * thick * body
        slope = np.gradient(arch, u) / 0.222
        lift = np.clip(1.15 - 2.2 * u, 0, 1.15)  # the inner hairs stand up, the outer ones lie along the brow
        angle = np.arctan(slope) - lift - 0.35 * spread * (1 - lift / 1.15) + rng.normal(0, 0.09, count)
        length = 0.021 * rng.uniform(0.7, 1.25, count) * (1 - 0.25 * u)
        t = np.linspace(0, 1, 5)[None]
        bend = angle[:, None] + 0.45 * t * lift[:, None]
        run = np.stack([np.cos(bend), np.sin(bend)], axis=-1) * (length[:, None] * t)[..., None]
        points = (np.stack([x, y], axis=-1)[:, None] + run) * (side, 1)
        hairs = np.zeros(sheet.shape, np.uint8)
        strokes(hairs, sheet.pixels(points), rng.uniform(110, 220, count), max(1, round(sheet.scale * 0.0022)))
        cover = np.maximum(cover, hairs.astype(np.float32) / 255)
    soft = blur(cover, 0.007 * sheet.scale)
    return np.clip(0.60 * blur(cover, 0.5) + 0.62 * soft, 0, 0.90).astype(np.float32)


def lay_beard(
    person: Identity, sheet: Sheet, color: np.ndarray, alpha: np.ndarray, glow: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Stubble as a cool shade with dots, longer beards as hairs."""
    if person.beard == "none":
        return color, alpha
    rng = np.random.default_rng([person.seed, 71])
    density = _beard_region(person, sheet)
    hair = 0.75 * np.array(person.hair_color if person.hair != "bald" else person.brow_color, np.float32) / 255
    hair = hair * np.array([1.08, 0.98, 0.92], np.float32)
    dots = np.clip(0.55 + 0.55 * noise(rng, sheet.shape, max(1.0, 0.0036 * sheet.scale)), 0, 1)
    shade = density * (0.30 + 0.34 * dots) * (0.62 if person.beard == "stubble" else 1.0)
    color = mix(color, hair * glow, np.clip(shade, 0, 0.9).astype(np.float32))
    if person.beard == "stubble":
        return color, alpha
    inside = np.argwhere(density > 0.25)
    count = int(len(inside) / sheet.scale**2 * 26_000)
    at = inside[rng.integers(len(inside), size=count)][:, ::-1] + rng.uniform(0, 1, (count, 2))
    x = at[:, 0] / sheet.scale + sheet.left
    angle = np.pi / 2 - 2.2 * x + rng.normal(0, 0.28, count)
    length = 0.034 * sheet.scale * rng.uniform(0.5, 1.2, count)
    t = np.linspace(0, 1, 4)
    lines = at[:, None] + (length[:, None] * t)[..., None] * np.stack([np.cos(angle), np.sin(angle)], 1)[:, None]
    tone = np.full(sheet.shape, 90, np.uint8)
    cover = np.zeros(sheet.shape, np.uint8)
    strokes(tone, lines, np.clip(rng.normal(105, 45, count), 20, 230))
    strokes(cover, lines, np.full(count, 190.0))
    hairs = blur(cover.astype(np.float32) / 255, 0.4) * smoothstep(0.05, 0.5, blur(density, 0.008 * sheet.scale))
    tint = hair * glow * np.clip(0.45 + 0.6 * (tone.astype(np.float32) / 100), 0.3, 1.7)[..., None]
    color = mix(color, tint.astype(np.float32), np.clip(hairs, 0, 0.92).astype(np.float32))
    return color, np.maximum(alpha, hairs * 0.9 * (alpha > 0.0))


def _beard_region(person: Identity, sheet: Sheet) -> np.ndarray:
    """Where the beard grows, (H, W) 0..1."""
    place = Layout.of(person.shape)
    x, y = sheet.x, sheet.y
    side = np.abs(x)
    mouth, base = place.mouth_y, place.nose_base_y
    moustache = smoothstep(place.mouth_half + 0.03, place.mouth_half - 0.02, side + 0.6 * (mouth - 0.03 - y))
    moustache = moustache * smoothstep(base + 0.004, base + 0.03, y + 0.12 * side) * smoothstep(mouth + 0.05, mouth, y)
    moustache = moustache * (1 - 0.45 * bump(x, y - base - 0.02, 0.010, 0.03))
    patch = (side / 0.100) ** 2.4 + (np.abs(y - mouth - 0.185) / 0.120) ** 2.4
    chin = smoothstep(1.25, 0.60, patch)
    link = bump(side - place.mouth_half - 0.012, y - mouth - 0.04, 0.016, 0.075)
    cheek_line = spline(
        np.array([(0.36, 0.10), (0.345, 0.24), (0.29, 0.36), (0.21, 0.40), (0.16, 0.43), (0.13, 0.51), (-0.03, 0.50)]),
        60,
    )
    right = np.concatenate([cheek_line, [(-0.03, 0.9), (0.45, 0.9), (0.45, 0.27), (0.378, 0.22), (0.378, 0.10)]])
    soft = 0.026 if person.beard == "stubble" else 0.015
    cheeks = np.maximum(polygon(sheet, right, soft), polygon(sheet, right * (-1, 1), soft))
    if person.beard == "moustache":
        return np.asarray(moustache, np.float32)
    if person.beard == "goatee":
        return np.asarray(np.clip(np.maximum.reduce([moustache, chin, link]), 0, 1), np.float32)
    soul = bump(x, y - mouth - 0.075, 0.022, 0.02)
    return np.asarray(np.clip(np.maximum.reduce([moustache, cheeks, link, soul * 0.7]), 0, 1), np.float32)
