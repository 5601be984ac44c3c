"""What stands behind the person and what the person wears; neck and shoulders."""

from __future__ import annotations

import numpy as np

from .hair import Layer
from .identity import Identity
from .light import Light, irradiance, openness
from .paint import Sheet, blur, bump, mix, noise, polygon, smoothstep, spline, to_display, to_light
from .surface import outline, radius_at

# Right half of neck and shoulders, from under the jaw outwards, face units.
BODY = (
    (0.205, 0.35),
    (0.212, 0.56),
    (0.216, 0.72),
    (0.232, 0.82),
    (0.300, 0.885),
    (0.46, 0.935),
    (0.66, 0.985),
    (0.82, 1.07),
    (0.91, 1.25),
    (0.95, 1.7),
    (0.97, 2.6),
)


def paint_scene(person: Identity, width: int, height: int) -> np.ndarray:
    """The background, out of focus, (height, width, 3) float32 display values."""
    rng = np.random.default_rng([person.seed, 91])
    base = np.array(person.scene_color, np.float32) / 255
    accent = np.array(person.accent_color, np.float32) / 255
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    lit = 0.5 + 0.28 * x * np.sign(person.light_side) - 0.18 * y
    image = base * (0.70 + 0.5 * lit[..., None])
    size = float(min(width, height))
    sheet = Sheet(-1, -1, width / 2, width, height)
    image = np.ascontiguousarray(image, np.float32)
    image = blur(SCENES[person.scene](image, sheet, base, accent, rng), 0.022 * size)
    corner = 1 - 0.22 * np.clip(x**2 + y**2 - 0.3, 0, 2)
    return np.asarray(np.clip(image * corner[..., None], 0.01, 0.98), np.float32)


def _plain(
    image: np.ndarray, sheet: Sheet, base: np.ndarray, accent: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    return image


def _bokeh(
    image: np.ndarray, sheet: Sheet, base: np.ndarray, accent: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Lights far behind, as discs."""
    low = 2 * sheet.height / sheet.width - 1
    for _ in range(26):
        cx, cy, r = rng.uniform(-1, 1), rng.uniform(-1, low), rng.uniform(0.04, 0.16)
        disc = np.clip((r - np.hypot(sheet.x - cx, sheet.y - cy)) / 0.02, 0, 1)
        tint = accent * rng.uniform(0.6, 1.5) + rng.normal(0, 0.05, 3).astype(np.float32)
        image = mix(image, np.broadcast_to(tint, image.shape), (disc * rng.uniform(0.15, 0.5)).astype(np.float32))
    return image


def _window(
    image: np.ndarray, sheet: Sheet, base: np.ndarray, accent: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A window of two by three panes."""
    left = float(rng.uniform(-0.9, 0.2))
    for i in range(2):
        for j in range(3):
            x, y = left + i * 0.42, -0.85 + j * 0.5
            sky = np.array([0.86, 0.91, 0.95], np.float32) * (0.95 - 0.12 * j) + (accent - 0.5) * 0.12
            image = mix(image, np.broadcast_to(sky, image.shape), _box(sheet, x, y, x + 0.38, y + 0.46) * 0.8)
    return image


def _shelves(
    image: np.ndarray, sheet: Sheet, base: np.ndarray, accent: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Shelves with books."""
    for j in range(5):
        top, at = -1 + j * 0.42, -1.05
        while at < 1.05:
            wide, tall = rng.uniform(0.03, 0.10), rng.uniform(0.20, 0.34)
            tint = np.clip(accent * rng.uniform(0.4, 1.1) + rng.normal(0, 0.07, 3), 0.03, 0.95).astype(np.float32)
            book = _box(sheet, at, top + 0.38 - tall, at + wide, top + 0.38)
            image = mix(image, np.broadcast_to(tint, image.shape), book * 0.75)
            at += wide + (rng.uniform(0.05, 0.2) if rng.random() < 0.12 else 0.006)
        image = image * (1 - 0.5 * np.exp(-0.5 * ((sheet.y - top - 0.40) / 0.014) ** 2)[..., None])
    return image


def _wall(
    image: np.ndarray, sheet: Sheet, base: np.ndarray, accent: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A wall with a picture."""
    image = image * (1 + 0.05 * noise(rng, sheet.shape, min(sheet.shape) * 0.12)[..., None])
    left = float(rng.choice([-0.95, 0.45]))
    image = mix(image, np.broadcast_to(base * 0.35, image.shape), _box(sheet, left, -0.80, left + 0.50, -0.20))
    return mix(image, np.broadcast_to(accent * 1.1, image.shape), _box(sheet, left + 0.04, -0.76, left + 0.46, -0.24))


def _box(sheet: Sheet, left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return polygon(sheet, np.array([(left, top), (right, top), (right, bottom), (left, bottom)]))


SCENES = {"gradient": _plain, "bokeh": _bokeh, "window": _window, "shelves": _shelves, "wall": _wall}


def paint_body(person: Identity, sheet: Sheet, light: Light) -> Layer:
    """Neck, shoulders and clothes."""
    rng = np.random.default_rng([person.seed, 97])
    half = np.array(BODY)
    f = person.feminine
    half[:4, 0] *= 1.04 - 0.25 * f
    half[4, 0] *= 1.03 - 0.2 * f
    half[5:, 0] *= 1.06 - 0.18 * f
    side = spline(half, 120)
    skin_shape = polygon(sheet, np.concatenate([side, side[::-1] * (-1, 1)]))
    color = _neck(person, sheet, light, skin_shape)
    cloth, alpha = _clothes(person, sheet, light, rng, side)
    shadow = blur(alpha, 0.012 * sheet.scale)
    color = color * (1 - 0.30 * shadow[..., None])
    far = 0.36 if person.clothes in ("crew", "vneck") else 0.27
    skin_shape = skin_shape * smoothstep(far + 0.02, far, np.abs(sheet.x))  # no skin at the edges of the clothes
    return Layer(mix(color, cloth, alpha), np.maximum(skin_shape, alpha))


def _neck(person: Identity, sheet: Sheet, light: Light, shape: np.ndarray) -> np.ndarray:
    """Skin of neck and chest, in the shadow of the jaw: (H, W, 3) display values."""
    x, y = sheet.x, sheet.y
    side = np.abs(x)
    z = (
        0.20 * np.sqrt(np.clip(1 - (x / 0.235) ** 2, 0, 1)) * smoothstep(1.02, 0.80, y)
        + blur(shape, 0.05 * sheet.scale) * 0.10
    )
    cord = np.clip(side - (0.155 - 0.42 * (y - 0.72)), -1, 1)
    z = z + 0.010 * np.exp(-0.5 * (cord / 0.018) ** 2) * smoothstep(0.62, 0.75, y) * smoothstep(0.98, 0.90, y)
    z = z - 0.014 * bump(x, y - 0.935, 0.030, 0.024)
    z = z + 0.010 * np.exp(-0.5 * ((y - 0.955 - 0.22 * side) / 0.012) ** 2) * smoothstep(0.02, 0.08, side)
    z = z + 0.010 * (1 - person.feminine) * bump(x, y - 0.80, 0.020, 0.030)
    z = blur(np.asarray(z, np.float32), 0.010 * sheet.scale)
    ratio, _ = radius_at(outline(person.shape), x + light.direction[0] * 0.09, y - 0.13)
    under = 1 - 0.94 * smoothstep(1.06, 0.90, ratio)
    ratio, _ = radius_at(outline(person.shape), x, y - 0.05)
    near = 1 - 0.62 * smoothstep(1.26, 0.94, ratio)
    sky = openness(z, sheet.scale) * near
    shine = irradiance(z, sheet.scale, light, under.astype(np.float32), sky.astype(np.float32))
    albedo = to_light(person.skin) * np.array([0.98, 0.93, 0.93], np.float32)
    return to_display((albedo * shine).astype(np.float32))


def _clothes(
    person: Identity, sheet: Sheet, light: Light, rng: np.random.Generator, side: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The garment's display colours (H, W, 3) and coverage (H, W)."""
    scale = sheet.scale
    high = 0.90 if person.clothes in ("crew", "vneck") else 0.845
    wide = side[side[:, 1] > high] + (0.006, -0.012)
    dip = {"crew": 0.985, "collar": 1.06, "vneck": 1.17, "hoodie": 1.00, "jacket": 1.02}[person.clothes]
    near, mid = high + 0.035 + 0.2 * (dip - 0.985), dip - 0.022 - 0.12 * (dip - 0.985)
    half = [(float(wide[0, 0]), float(wide[0, 1])), (0.215, near), (0.10, mid), (0.0, dip)]
    neckline = spline(np.array(half + [(-x, y) for x, y in half[2::-1]]), 79)[:40]  # both sides, so that it is round
    if person.clothes == "vneck":
        neckline = np.stack([np.linspace(wide[0, 0], 0, 40), np.linspace(wide[0, 1], dip, 40)], axis=1)
    right = np.concatenate([wide[::-1], neckline])
    left = right[::-1] * (-1, 1)
    shape = polygon(sheet, np.concatenate([right, left]))
    z = blur(shape, 0.09 * scale) * 0.30 + blur(shape, 0.015 * scale) * 0.016
    bend = noise(rng, sheet.shape, 0.30 * scale)
    run = np.sin(11 * (np.abs(sheet.x) * 1.1 - sheet.y * 0.8) + 2.2 * bend) * noise(rng, sheet.shape, 0.22 * scale)
    folds = 0.7 * noise(rng, sheet.shape, 0.24 * scale) + 0.6 * run
    z = z + 0.011 * folds * smoothstep(0.92, 1.15, sheet.y)
    seam = np.exp(-0.5 * ((_distance(sheet, neckline) - 0.022) / 0.0028) ** 2)
    z = z - 0.004 * seam * (person.clothes in ("crew", "vneck"))
    tint = np.broadcast_to(to_light(person.cloth_color), (*sheet.shape, 3)).copy()
    alpha = shape
    for piece, color, lift in _pieces(person, sheet):
        tint = mix(tint, np.broadcast_to(to_light(color), tint.shape), piece)
        z = z + lift * blur(piece, 0.005 * scale) + lift * blur(piece, 0.02 * scale)
        alpha = np.maximum(alpha, piece)
    weave = noise(rng, sheet.shape, 1.2) * 0.025 + noise(rng, sheet.shape, 0.02 * scale) * 0.02
    z = np.asarray(z, np.float32)
    sky = openness(z, scale)
    shine = irradiance(z, scale, light, sky, sky, 0.0)
    return to_display((tint * (1 + weave[..., None]) * shine).astype(np.float32)), np.clip(alpha, 0, 1)


def _distance(sheet: Sheet, line: np.ndarray) -> np.ndarray:
    """Distance below a neckline, of both sides, (H, W)."""
    order = np.argsort(line[:, 0])
    at = np.interp(np.abs(sheet.x[0]), line[order, 0], line[order, 1]).astype(np.float32)
    return np.asarray(sheet.y - at[None], np.float32)


def _pieces(person: Identity, sheet: Sheet) -> list[tuple[np.ndarray, tuple[float, float, float], float]]:
    """Collars, lapels and hoods over the garment: coverage, colour, how far they stand off."""
    both = [(1, 1), (-1, 1)]
    if person.clothes == "collar":
        flap = np.array([(0.215, 0.815), (0.262, 0.885), (0.215, 1.075), (0.012, 1.04), (0.10, 0.96)])
        placket = np.array([(-0.026, 1.03), (0.026, 1.03), (0.026, 2.5), (-0.026, 2.5)])
        pieces = [(polygon(sheet, placket), person.cloth_color, 0.010)]
        return pieces + [(polygon(sheet, flap * m), person.cloth_color, 0.022) for m in both]
    if person.clothes == "jacket":
        shirt = np.array(
            [(-0.23, 0.90), (-0.10, 0.975), (0.0, 0.995), (0.10, 0.975), (0.23, 0.90), (0.10, 1.7), (-0.10, 1.7)]
        )
        lapel = np.array(
            [
                (0.225, 0.83),
                (0.275, 0.89),
                (0.315, 1.08),
                (0.255, 1.11),
                (0.275, 1.15),
                (0.09, 1.75),
                (0.06, 1.70),
                (0.195, 0.95),
            ]
        )
        pieces = [(polygon(sheet, shirt), person.under_color, 0.0)]
        return pieces + [(polygon(sheet, lapel * m), person.cloth_color, 0.020) for m in both]
    if person.clothes == "hoodie":
        hood = np.array(
            [
                (0.20, 0.78),
                (0.285, 0.80),
                (0.375, 0.93),
                (0.27, 1.03),
                (0.10, 1.10),
                (0.02, 1.12),
                (0.09, 1.00),
                (0.19, 0.92),
            ]
        )
        return [
            (polygon(sheet, spline(np.vstack([hood, hood[:1]]), 90) * m, 0.003), person.cloth_color, 0.030)
            for m in both
        ]
    return []
