"""Hair styles: the outline of the hair's mass, and the way in which it lies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .identity import Identity
from .paint import smoothstep, spline
from .surface import CENTRE_Y

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


def volume(person: Identity) -> tuple[float, float]:
    """How far the hair stands off the skull above and at the sides, face units."""
    return {
        "buzz": (0.012, 0.006), "crop": (0.060, 0.016), "side": (0.070, 0.022), "swept": (0.080, 0.016),
        "curls": (0.100, 0.065), "afro": (0.190, 0.200), "bob": (0.065, 0.080), "long": (0.050, 0.050),
        "waves": (0.065, 0.075), "bun": (0.030, 0.012), "fringe": (0.055, 0.055), "bald": (0.0, 0.0),
    }[person.hair]  # fmt: skip


def cap(person: Identity, radii: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Outline of the hair over the skull, (n, 2): the outer arc, and back along the hairline."""
    top, side = volume(person)
    low = 0.055 if person.hair in ("buzz", "crop", "side", "swept", "bun") else 0.17
    angle = np.linspace(np.pi + 0.06, 2 * np.pi - 0.06, 160)  # from the left ear over the top to the right one
    angle = np.concatenate([[np.pi - low * 0.2], angle, [2 * np.pi + low * 0.2]])
    grid = np.linspace(-np.pi, np.pi, len(radii), endpoint=False)
    radius = np.interp((angle + np.pi) % (2 * np.pi) - np.pi, grid, radii, period=2 * np.pi)
    up = np.clip(-np.sin(angle), 0, 1)
    lean = 1 + 0.35 * np.sign(person.part) * np.cos(angle) * up if person.hair in ("side", "swept") else 1.0
    ends = np.clip(np.minimum(angle - angle[0], angle[-1] - angle) / 0.38, 0, 1) ** 0.6  # round above the ears
    radius = radius + (side * ends + (top - side) * up**1.5) * lean
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


def curtains(person: Identity, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """Long hair: the outline behind the neck, and the two locks before the ears."""
    end = {"bob": 0.60, "long": 1.20, "waves": 1.05, "fringe": 0.85}[person.hair] + float(rng.uniform(-0.06, 0.06))
    wide = volume(person)[1]
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


def bangs(person: Identity, rng: np.random.Generator) -> np.ndarray:
    """A fringe over the forehead."""
    x = np.linspace(-0.335, 0.335, 60)
    end = -0.135 + 0.35 * x**2 + 0.006 * rng.normal(0, 1, 60)
    low = np.stack([x, end], axis=1)
    return np.concatenate([low, [(0.30, -0.33), (0.15, -0.43), (-0.15, -0.43), (-0.30, -0.33)]])


def ellipse(cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
    """Outline of an ellipse, (80, 2)."""
    angle = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    return np.stack([cx + rx * np.cos(angle), cy + ry * np.sin(angle)], axis=1)


def falling(person: Identity) -> Flow:
    """Down, with waves if the hair is wavy."""
    wave = 0.55 if person.hair == "waves" else 0.08

    def flow(at: np.ndarray) -> np.ndarray:
        x, y = at[:, 0], at[:, 1]
        sway = wave * np.sin(y * 21 + np.sign(x) * 1.5 + x * 9)
        return np.stack([sway + 0.10 * np.sign(x) * (y < 0.3), np.ones_like(x)], axis=1)

    return flow


def bang_flow(person: Identity) -> Flow:
    """Down over the forehead, a little to both sides."""

    def flow(at: np.ndarray) -> np.ndarray:
        return np.stack([1.1 * at[:, 0] + 0.2 * person.part, np.full(len(at), 0.9)], axis=1)

    return flow


def around(cx: float, cy: float) -> Flow:
    """Round a centre, as in a knot."""

    def flow(at: np.ndarray) -> np.ndarray:
        return np.stack([-(at[:, 1] - cy) * 1.4, at[:, 0] - cx + 0.06], axis=1)

    return flow


def flow(person: Identity) -> tuple[Flow, int, float]:
    """Flow over the head, number of strands, and their length in face units."""
    style = person.hair
    part = person.part * 0.36
    if style in CURLY_STYLES:
        return falling(person), 620 if style == "afro" else 480, 0.17
    if style in LONG_STYLES:
        down = falling(person)

        def parted(at: np.ndarray) -> np.ndarray:
            off = at[:, 0] - part * smoothstep(0.1, -0.3, at[:, 1])
            turn = smoothstep(0.02, 0.34, np.abs(off)) * 0.75 + 0.9 * smoothstep(-0.30, 0.0, at[:, 1])
            out = np.stack([np.tanh(off / 0.03) * (1 - np.clip(turn, 0, 1)), 0.16 + np.clip(turn, 0, 1)], axis=1)
            low = smoothstep(-0.1, 0.15, at[:, 1])[:, None]
            return np.asarray(out * (1 - low) + down(at) * low)

        return parted, 760, 0.40
    if style == "side":

        def combed(at: np.ndarray) -> np.ndarray:
            off = at[:, 0] - part
            drop = smoothstep(0.16, 0.38, np.abs(at[:, 0])) * smoothstep(-0.42, -0.22, at[:, 1])
            out = np.stack([np.sign(off) * (1 - 0.9 * drop), -0.42 + 0.5 * np.abs(off) + 1.6 * drop], axis=1)
            return np.asarray(out)

        return combed, 620, 0.22
    if style == "bun":

        def gathered(at: np.ndarray) -> np.ndarray:
            return np.stack([-at[:, 0] * 0.9, -0.62 - at[:, 1]], axis=1)

        return gathered, 560, 0.26
    if style == "swept":

        def swept(at: np.ndarray) -> np.ndarray:
            side = smoothstep(0.27, 0.38, np.abs(at[:, 0])) * smoothstep(-0.30, -0.12, at[:, 1])
            up = np.stack([at[:, 0] * 1.0 + 0.25 * part, np.full(len(at), -0.42)], axis=1)
            out = np.stack([np.sign(at[:, 0]) * 0.5, np.full(len(at), 0.9)], axis=1)
            return np.asarray(up * (1 - side[:, None]) + out * side[:, None])

        return swept, 560, 0.26

    def short(at: np.ndarray) -> np.ndarray:
        side = smoothstep(0.24, 0.36, np.abs(at[:, 0])) * smoothstep(-0.42, -0.22, at[:, 1])
        up = np.stack([at[:, 0] * 0.9 + 0.5 * part + 0.25 * np.sin(at[:, 0] * 31), np.full(len(at), -0.5)], axis=1)
        down = np.stack([np.sign(at[:, 0]) * 0.12, np.full(len(at), 1.0)], axis=1)
        return np.asarray(up * (1 - side[:, None]) + down * side[:, None])

    return short, 700 if style == "crop" else 900, 0.085 if style == "crop" else 0.02
