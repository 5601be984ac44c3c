"""Hair: strands that follow a flow, lit along their direction; styles are regions and flows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .hairstyles import (
    CURLY_STYLES,
    LONG_STYLES,
    Flow,
    around,
    bang_flow,
    bangs,
    cap,
    curtains,
    ellipse,
    falling,
    flow,
    volume,
)
from .identity import Identity
from .light import Light, irradiance, normals
from .paint import Sheet, blur, mix, noise, polygon, smoothstep, strokes, to_display, to_light
from .surface import dome, outline, radius_at


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A painted layer.

    Args:
        color: (H, W, 3) float32 display values.
        alpha: (H, W) float32 coverage.
    """

    color: np.ndarray
    alpha: np.ndarray


def paint_hair(person: Identity, sheet: Sheet, light: Light) -> tuple[Layer | None, Layer | None]:
    """The hair behind neck and ears, and the hair over the head; None where there is none."""
    rng = np.random.default_rng([person.seed, 53])
    style = person.hair
    radii = outline(person.shape)
    if style == "bald":
        return None, None
    back = None
    front_shape = cap(person, radii, rng)
    masks = [front_shape]
    if style in LONG_STYLES:
        back_shape, locks = curtains(person, rng)
        back = _render(person, sheet, light, rng, [back_shape], falling(person), 220, 0.40, darkness=0.45)
        masks += locks
    if style == "bun":
        ball = ellipse(0.0, -0.60, 0.15, 0.115)
        back = _render(person, sheet, light, rng, [ball], around(0.0, -0.60), 130, 0.14, darkness=0.8)
    lie, count, length = flow(person)
    front = _render(person, sheet, light, rng, masks, lie, count, length)
    if style == "fringe":
        fringe = _render(person, sheet, light, rng, [bangs(person, rng)], bang_flow(person), 130, 0.18)
        front = _over(front, fringe)
    return back, front


def _trace(person: Identity, start: np.ndarray, flow: Flow, length: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Middle lines of locks along the flow, (n, k, 2) face units; curls wind as they go."""
    count, steps = len(start), 16
    curly = person.hair in CURLY_STYLES
    direction = rng.uniform(-np.pi, np.pi, count)
    wind = rng.choice([-1, 1], count) * rng.uniform(0.10, 0.36, count)
    phase = rng.uniform(0, 2 * np.pi, count)
    stray = rng.normal(0, 0.10, count)
    at = start.copy()
    line = [at]
    for step in range(steps - 1):
        if curly:
            direction = direction + wind * (1 + 0.8 * np.sin(phase + 0.55 * step))
        else:
            way = flow(at)
            direction = np.arctan2(way[:, 1], way[:, 0]) + stray
        at = at + (length / steps)[:, None] * np.stack([np.cos(direction), np.sin(direction)], axis=1)
        line.append(at)
    return np.stack(line, axis=1)


def _strands(
    person: Identity, lines: np.ndarray, rng: np.random.Generator, thick: float
) -> tuple[np.ndarray, np.ndarray]:
    """Hairs of each lock, which meet at its tip: lines (n * m, k, 2) in lock order, and tones about 1."""
    count, steps, _ = lines.shape
    hairs = 7
    along = np.gradient(lines, axis=1)
    along /= np.linalg.norm(along, axis=-1, keepdims=True) + 1e-9
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    place = np.linspace(-1, 1, hairs)[None] + rng.normal(0, 0.12, (count, hairs))  # (n, m)
    t = np.linspace(0, 1, steps)
    width = thick * (1 - 0.75 * t**1.5) * (0.55 + 0.45 * np.sin(np.pi * np.minimum(1, t * 2.5 + 0.2)))
    bundle = lines[:, None] + place[..., None, None] * width[None, None, :, None] * across[:, None]
    # no two hairs of a lock begin and end together
    first, last = rng.uniform(0, 0.35, (count * hairs, 1)), rng.uniform(0.72, 1.0, (count * hairs, 1))
    bundle = _between(bundle.reshape(count * hairs, steps, 2), first + (last - first) * t)
    lock = rng.normal(1.0, 0.20, (count, 1))
    tone = lock * (1.12 - 0.34 * place**2) + rng.normal(0, 0.16, (count, hairs))
    return bundle, tone.reshape(-1)


def _between(lines: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Points of n lines (n, k, 2) at shares (n, j) of their length in points, (n, j, 2)."""
    at = share * (lines.shape[1] - 1)
    low = np.minimum(at.astype(np.int64), lines.shape[1] - 2)
    rows = np.arange(len(lines))[:, None]
    return np.asarray(lines[rows, low] + (at - low)[..., None] * (lines[rows, low + 1] - lines[rows, low]))


def _starts(person: Identity, sheet: Sheet, inside: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Where locks start, (count, 2) face units, chosen from the pixels (n, 2; row, column) inside the hair."""
    weight = np.ones(len(inside))
    if person.hair in (*LONG_STYLES, "side"):  # hair leaves the parting to both sides, so most of it starts there
        away = (inside[:, 1] / sheet.scale + sheet.left - person.part * 0.36) / 0.03
        weight += 4 * np.exp(-0.5 * away**2) * (inside[:, 0] / sheet.scale + sheet.top < -0.2)
    chosen = np.searchsorted(np.cumsum(weight), rng.uniform(0, weight.sum(), count))
    start = inside[np.minimum(chosen, len(inside) - 1)] + rng.uniform(0, 1, (count, 2))
    return np.asarray(start[:, ::-1] / sheet.scale + (sheet.left, sheet.top))


def _render(
    person: Identity, sheet: Sheet, light: Light, rng: np.random.Generator, shapes: list[np.ndarray], flow: Flow,
    count: int, length: float, darkness: float = 1.0,
) -> Layer:  # fmt: skip
    """Fill shapes with lit strands."""
    scale = sheet.scale
    curly = person.hair in CURLY_STYLES
    mass, crisp = np.zeros(sheet.shape, np.float32), np.zeros(sheet.shape, np.float32)
    for shape in shapes:
        mass = np.maximum(mass, polygon(sheet, shape, 0.016))
        crisp = np.maximum(crisp, polygon(sheet, shape, 0.005))
    ratio, _ = radius_at(outline(person.shape), sheet.x, sheet.y)
    rim = smoothstep(0.90, 0.99, ratio)  # soft where hair grows out of skin, crisp against the background
    if person.hair not in LONG_STYLES:
        rim = rim * smoothstep(0.02, -0.12, sheet.y)
    mass = mass + (crisp - mass) * rim
    body = smoothstep(0.30, 0.95, mass) if person.hair != "buzz" else mass * 0.74
    inside = np.argwhere(mass > 0.40)
    start = _starts(person, sheet, inside, count, rng)
    order = np.argsort(start[:, 1] * (-1 if person.hair in LONG_STYLES else 1) + rng.normal(0, 0.25, count))
    lengths = length * rng.uniform(0.5, 1.1, count)
    if person.hair not in (*LONG_STYLES, *CURLY_STYLES):  # shorter at the temples
        lengths *= 1 - 0.6 * smoothstep(0.27, 0.38, np.abs(start[:, 0])) * smoothstep(-0.35, -0.15, start[:, 1])
    middle = _trace(person, start[order], flow, lengths[order], rng)
    lines, tones = _strands(person, middle, rng, 0.011 if curly else 0.008)
    lines = sheet.pixels(lines)
    ends = np.clip(np.round(lines[:, -1]).astype(np.int64), 0, np.array(sheet.shape[::-1]) - 1)
    stays = mass[ends[:, 1], ends[:, 0]] > 0.02  # a hair that leaves the mass is a stray one: few of them
    kept = stays | (rng.random(len(lines)) < (0.05 if curly or person.hair == "crop" else 0.015))
    lines, tones = lines[kept], tones[kept]
    tone_image = np.full(sheet.shape, 70, np.uint8)
    cover = np.zeros(sheet.shape, np.uint8)
    strokes(tone_image, lines, np.clip(tones * 110, 12, 250), max(1, round(scale * 0.0030)))
    strokes(cover, lines, np.full(len(lines), 215.0), 1)
    tone = blur(tone_image.astype(np.float32) / 110, 0.5)
    if person.hair == "buzz":
        tone = 0.7 + 0.3 * tone + 0.10 * noise(rng, sheet.shape, 0.007 * scale)
    hairs = cover.astype(np.float32) / 255 * smoothstep(0.0, 0.30, blur(mass, 0.014 * scale))
    alpha = body if person.hair == "buzz" else np.maximum(body, hairs)  # single hairs so short are not seen
    color = _lit(person, sheet, light, rng, mass, tone, flow, darkness)
    return Layer(color, np.clip(alpha, 0, 1).astype(np.float32))


def _lit(
    person: Identity, sheet: Sheet, light: Light, rng: np.random.Generator, mass: np.ndarray, tone: np.ndarray,
    flow: Flow, darkness: float,
) -> np.ndarray:  # fmt: skip
    """Colour of the hair: tone of the strands, light on the mass, a sheen across the strands' direction."""
    scale = sheet.scale
    curly = person.hair in CURLY_STYLES
    ratio, _ = radius_at(outline(person.shape) + sum(volume(person)) / 2, sheet.x, sheet.y)
    high = 0.16 if person.hair in (*LONG_STYLES, *CURLY_STYLES) else 0.07
    thick = blur(mass, 0.075 * scale) * high + blur(mass, 0.02 * scale) * 0.012 + dome(ratio * 0.97) * 0.9
    lumps = noise(rng, sheet.shape, 0.060 * scale) * (0.012 if curly else 0.004)
    z = (thick + lumps + (tone - 1) * (0.0045 if curly else 0.0015)).astype(np.float32)
    rim = 0.45 + 0.55 * smoothstep(0.3, 1.0, blur(mass, 0.02 * scale))
    shine = irradiance(z, scale, light, np.ones_like(z), rim.astype(np.float32), 0.4)
    x, y = np.broadcast_arrays(sheet.x, sheet.y)
    way = flow(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(*sheet.shape, 2)
    way = way / (np.linalg.norm(way, axis=-1, keepdims=True) + 1e-6)
    nx, ny, nz = normals(blur(z, 0.008 * scale), scale)
    slope = -(nx * way[..., 0] + ny * way[..., 1]) / np.maximum(nz, 0.2)
    half = light.direction + np.array([0, 0, 1], np.float32)
    half = half / np.linalg.norm(half)
    along = (way[..., 0] * half[0] + way[..., 1] * half[1] + slope * half[2]) / np.sqrt(1 + slope**2)
    along = along + 0.10 * (tone - 1)
    band = np.sqrt(np.clip(1 - along**2, 0, 1)) ** (26 if not curly else 6)
    base = to_light(person.hair_color)
    warm = np.array([1.10, 1.0, 0.88], np.float32) ** (tone[..., None] - 1)
    depth = np.clip(0.30 + 0.72 * tone, 0.2, 2.0)
    color = base * warm * (depth**1.2)[..., None] * shine * 1.05
    glint = (0.030 + 0.30 * base.mean()) * (0.35 if curly else 1.0) * band * np.clip(tone, 0, 2) ** 1.5 * rim
    color = color + glint[..., None] * light.key * (0.5 + 0.5 * base / max(float(base.max()), 1e-3))
    return to_display((color * darkness).astype(np.float32))


def _over(below: Layer, above: Layer) -> Layer:
    return Layer(mix(below.color, above.color, above.alpha), np.maximum(below.alpha, above.alpha))
