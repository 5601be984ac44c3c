"""Hair: strands that follow a flow, lit along their direction; styles are regions and flows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .identity import Identity
from .light import Light, irradiance, normals
from .paint import Sheet, blur, mix, noise, polygon, smoothstep, spline, strokes, to_display, to_light
from .surface import CENTRE_Y, dome, outline, radius_at

# Direction in which hair lies: (n, 2) places in face units -> (n, 2) directions, not normalised.
Flow = Callable[[np.ndarray], np.ndarray]
LONG_STYLES = ("long", "waves", "bob", "fringe")
CURLY_STYLES = ("curls", "afro")
# The hairline of the mean forehead, from the middle to the sideburn: x to the side, y.
HAIRLINE = (
    (0.0, -0.305),
    (0.11, -0.308),
    (0.215, -0.285),
    (0.300, -0.210),
    (0.338, -0.120),
    (0.366, -0.055),
    (0.380, 0.02),
)


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
    front_shape = _cap(person, radii, rng)
    masks = [front_shape]
    if style in LONG_STYLES:
        back_shape, locks = _curtains(person, rng)
        back = _render(person, sheet, light, rng, [back_shape], _falling(person), 220, 0.40, darkness=0.45)
        masks += locks
    if style == "bun":
        ball = _ellipse(0.0, -0.60, 0.15, 0.115)
        back = _render(person, sheet, light, rng, [ball], _around(0.0, -0.60), 130, 0.14, darkness=0.8)
    flow, count, length = _flow(person)
    front = _render(person, sheet, light, rng, masks, flow, count, length)
    if style == "fringe":
        bangs = _render(person, sheet, light, rng, [_bangs(person, rng)], _bang_flow(person), 130, 0.18)
        front = _over(front, bangs)
    return back, front


def _volume(person: Identity) -> tuple[float, float]:
    """How far the hair stands off the skull above and at the sides, face units."""
    return {
        "buzz": (0.012, 0.006), "crop": (0.060, 0.016), "side": (0.070, 0.022), "swept": (0.080, 0.016),
        "curls": (0.100, 0.065), "afro": (0.190, 0.200), "bob": (0.065, 0.080), "long": (0.050, 0.050),
        "waves": (0.065, 0.075), "bun": (0.030, 0.012), "fringe": (0.055, 0.055), "bald": (0.0, 0.0),
    }[person.hair]  # fmt: skip


def _cap(person: Identity, radii: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Outline of the hair over the skull, (n, 2): the outer arc, and back along the hairline."""
    top, side = _volume(person)
    low = 0.075 if person.hair in ("buzz", "crop", "side", "swept", "bun") else 0.17
    angle = np.linspace(np.pi + 0.06, 2 * np.pi - 0.06, 160)  # from the left ear over the top to the right one
    angle = np.concatenate([[np.pi - low * 0.2], angle, [2 * np.pi + low * 0.2]])
    grid = np.linspace(-np.pi, np.pi, len(radii), endpoint=False)
    radius = np.interp((angle + np.pi) % (2 * np.pi) - np.pi, grid, radii, period=2 * np.pi)
    up = np.clip(-np.sin(angle), 0, 1)
    lean = 1 + 0.35 * np.sign(person.part) * np.cos(angle) * up if person.hair in ("side", "swept") else 1.0
    radius = radius + (side + (top - side) * up**1.5) * lean
    rough = {"curls": 0.016, "afro": 0.012, "waves": 0.007}.get(person.hair, 0.003)
    wobble = np.convolve(rng.normal(0, 1, len(angle) + 8), np.ones(9) / 3, "valid")
    radius = radius + rough * wobble
    arc = np.stack([np.cos(angle) * radius, CENTRE_Y + np.sin(angle) * radius], axis=1)
    half = np.array(HAIRLINE)
    recede = max(0.0, person.age - 0.3) * 0.09 * (1 - person.feminine)
    half[:, 1] -= recede * np.array([0.5, 0.8, 1.3, 1.0, 0.4, 0.0, 0.0])
    half[:, 0] *= person.shape.forehead
    half[-1] = (0.384 * person.shape.cheek, low)
    line = spline(half, 60)
    jag = np.convolve(rng.normal(0, 1, 60 + 4), np.ones(5) / 5, "valid") * 0.006
    right = line + np.stack([np.zeros(60), jag], axis=1)
    left = line * (-1, 1) + np.stack([np.zeros(60), np.roll(jag, 7)], axis=1)
    return np.concatenate([arc, right[::-1], left[1:]])


def _curtains(person: Identity, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """Long hair: the outline behind the neck, and the two locks before the ears."""
    end = {"bob": 0.60, "long": 1.20, "waves": 1.05, "fringe": 0.85}[person.hair] + float(rng.uniform(-0.06, 0.06))
    wide = _volume(person)[1]
    outer = [
        (0.30, -0.35),
        (0.395 + wide, -0.08),
        (0.405 + wide, 0.20),
        (0.40 + wide, 0.46),
        (0.385 + wide, end - 0.12),
        (0.33 + 0.4 * wide, end),
    ]
    if person.hair == "bob":
        outer[-2:] = [(0.385 + wide, 0.50), (0.31 + 0.3 * wide, end)]
    side = spline(np.array(outer), 50)
    back = np.concatenate([side, side[::-1] * (-1, 1)])
    locks = []
    for sign in (-1, 1):
        tuck = float(rng.uniform(-0.01, 0.02)) + 0.012 * sign * np.sign(person.part)
        inner = [
            (0.20, -0.30),
            (0.325 + tuck, -0.13),
            (0.362 + tuck, 0.05),
            (0.370 + tuck, 0.25),
            (0.350 + tuck, 0.45),
            (0.285 + tuck, 0.68),
            (0.245, end - 0.06),
            (0.30, end),
        ]
        if person.hair == "bob":
            inner[-3:] = [(0.31 + tuck, 0.52), (0.29, end)]
        edge = spline(np.array(inner), 50)
        locks.append(np.concatenate([side, edge[::-1]]) * (sign, 1))
    return back, locks


def _bangs(person: Identity, rng: np.random.Generator) -> np.ndarray:
    """A fringe over the forehead."""
    x = np.linspace(-0.335, 0.335, 60)
    end = -0.135 + 0.35 * x**2 + 0.006 * rng.normal(0, 1, 60)
    low = np.stack([x, end], axis=1)
    return np.concatenate([low, [(0.30, -0.33), (0.15, -0.43), (-0.15, -0.43), (-0.30, -0.33)]])


def _ellipse(cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    return np.stack([cx + rx * np.cos(angle), cy + ry * np.sin(angle)], axis=1)


def _falling(person: Identity) -> Flow:
    """Down, with waves if the hair is wavy."""
    wave = 0.55 if person.hair == "waves" else 0.08

    def flow(at: np.ndarray) -> np.ndarray:
        x, y = at[:, 0], at[:, 1]
        sway = wave * np.sin(y * 21 + np.sign(x) * 1.5 + x * 9)
        return np.stack([sway + 0.10 * np.sign(x) * (y < 0.3), np.ones_like(x)], axis=1)

    return flow


def _bang_flow(person: Identity) -> Flow:
    def flow(at: np.ndarray) -> np.ndarray:
        return np.stack([1.1 * at[:, 0] + 0.2 * person.part, np.full(len(at), 0.9)], axis=1)

    return flow


def _around(cx: float, cy: float) -> Flow:
    def flow(at: np.ndarray) -> np.ndarray:
        return np.stack([-(at[:, 1] - cy) * 1.4, at[:, 0] - cx + 0.06], axis=1)

    return flow


def _flow(person: Identity) -> tuple[Flow, int, float]:
    """Flow over the head, number of strands, and their length in face units."""
    style = person.hair
    part = person.part * 0.36
    if style in CURLY_STYLES:
        return _falling(person), 620 if style == "afro" else 480, 0.17
    if style in LONG_STYLES:
        down = _falling(person)

        def parted(at: np.ndarray) -> np.ndarray:
            off = at[:, 0] - part * smoothstep(0.1, -0.3, at[:, 1])
            turn = smoothstep(0.02, 0.34, np.abs(off)) * 0.75 + 0.9 * smoothstep(-0.30, 0.0, at[:, 1])
            out = np.stack([np.sign(off) * (1 - np.clip(turn, 0, 1)), 0.12 + np.clip(turn, 0, 1)], axis=1)
            low = smoothstep(-0.1, 0.15, at[:, 1])[:, None]
            return np.asarray(out * (1 - low) + down(at) * low)

        return parted, 420, 0.42
    if style == "side":

        def combed(at: np.ndarray) -> np.ndarray:
            off = at[:, 0] - part
            drop = smoothstep(0.16, 0.38, np.abs(at[:, 0])) * smoothstep(-0.42, -0.22, at[:, 1])
            out = np.stack([np.sign(off) * (1 - 0.9 * drop), -0.42 + 0.5 * np.abs(off) + 1.6 * drop], axis=1)
            return np.asarray(out)

        return combed, 420, 0.22
    if style in ("swept", "bun"):

        def swept(at: np.ndarray) -> np.ndarray:
            side = smoothstep(0.27, 0.38, np.abs(at[:, 0])) * smoothstep(-0.30, -0.12, at[:, 1])
            up = np.stack([at[:, 0] * 1.0 + 0.25 * part, np.full(len(at), -0.42)], axis=1)
            out = np.stack([np.sign(at[:, 0]) * 0.5, np.full(len(at), 0.05 if style == "bun" else 0.9)], axis=1)
            return np.asarray(up * (1 - side[:, None]) + out * side[:, None])

        return swept, 420, 0.26

    def short(at: np.ndarray) -> np.ndarray:
        side = smoothstep(0.24, 0.36, np.abs(at[:, 0])) * smoothstep(-0.42, -0.22, at[:, 1])
        up = np.stack([at[:, 0] * 0.9 + 0.5 * part + 0.25 * np.sin(at[:, 0] * 31), np.full(len(at), -0.5)], axis=1)
        down = np.stack([np.sign(at[:, 0]) * 0.12, np.full(len(at), 1.0)], axis=1)
        return np.asarray(up * (1 - side[:, None]) + down * side[:, None])

    return short, 700 if style == "crop" else 900, 0.085 if style == "crop" else 0.02


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
    lock = rng.normal(1.0, 0.20, (count, 1))
    tone = lock * (1.12 - 0.34 * place**2) + rng.normal(0, 0.16, (count, hairs))
    return bundle.reshape(count * hairs, steps, 2), tone.reshape(-1)


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
    start = inside[rng.integers(len(inside), size=count)] + rng.uniform(0, 1, (count, 2))
    start = start[:, ::-1] / scale + (sheet.left, sheet.top)
    order = np.argsort(start[:, 1] * (-1 if person.hair in LONG_STYLES else 1) + rng.normal(0, 0.25, count))
    middle = _trace(person, start[order], flow, length * rng.uniform(0.5, 1.1, count), rng)
    lines, tones = _strands(person, middle, rng, 0.011 if curly else 0.008)
    lines = sheet.pixels(lines)
    ends = np.clip(np.round(lines[:, -1]).astype(np.int64), 0, np.array(sheet.shape[::-1]) - 1)
    stays = mass[ends[:, 1], ends[:, 0]] > 0.02  # a hair that leaves the mass is a stray one: few of them
    kept = stays | (rng.random(len(lines)) < 0.05)
    lines, tones = lines[kept], tones[kept]
    tone_image = np.full(sheet.shape, 70, np.uint8)
    cover = np.zeros(sheet.shape, np.uint8)
    strokes(tone_image, lines, np.clip(tones * 110, 12, 250), max(1, round(scale * 0.0030)))
    strokes(cover, lines, np.full(len(lines), 215.0), 1)
    tone = blur(tone_image.astype(np.float32) / 110, 0.5)
    if person.hair == "buzz":
        tone = 0.7 + 0.3 * tone + 0.10 * noise(rng, sheet.shape, 0.007 * scale)
    alpha = np.maximum(body, cover.astype(np.float32) / 255 * smoothstep(0.0, 0.30, blur(mass, 0.014 * scale)))
    color = _lit(person, sheet, light, rng, mass, tone, flow, darkness)
    return Layer(color, np.clip(alpha, 0, 1).astype(np.float32))


def _lit(
    person: Identity, sheet: Sheet, light: Light, rng: np.random.Generator, mass: np.ndarray, tone: np.ndarray,
    flow: Flow, darkness: float,
) -> np.ndarray:  # fmt: skip
    """Colour of the hair: tone of the strands, light on the mass, a sheen across the strands' direction."""
    scale = sheet.scale
    curly = person.hair in CURLY_STYLES
    ratio, _ = radius_at(outline(person.shape) + sum(_volume(person)) / 2, sheet.x, sheet.y)
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
