"""Light on a surface: a soft main light from the side, the sky, the floor; shadows; light that wanders in skin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .identity import Identity
from .paint import blur, smoothstep

SCATTER = ((0.30, 0.0075), (0.17, 0.0035), (0.12, 0.0020))  # per colour: wrap of the shading, blur in face units

BOUNCE = (0.125, 0.070, 0.055)  # light that skin throws on skin


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """The lights of a scene, linear.

    Args:
        direction: (3,) unit vector to the main light: x right, y down, z to the viewer.
        key: (3,) colour times strength of the main light.
        sky, floor: (3,) light from above and from below, out of all directions.
    """

    direction: np.ndarray
    key: np.ndarray
    sky: np.ndarray
    floor: np.ndarray

    @classmethod
    def of(cls, person: Identity) -> Light:
        """The light in which a person is drawn."""
        side, up = person.light_side * 1.0, person.light_height
        direction = np.array([np.sin(side) * np.cos(up), -np.sin(up), np.cos(side) * np.cos(up)], np.float32)
        warm = person.light_warmth * 0.09
        tint = np.array([1 + warm, 1.0, 1 - 1.3 * warm], np.float32)
        soft = person.light_soft
        key = (1.16 - 0.30 * soft) * tint
        sky = (0.15 + 0.21 * soft) * np.array([0.97, 1.0, 1.05], np.float32) / tint
        floor = (0.08 + 0.11 * soft) * np.array([1.08, 1.0, 0.92], np.float32)
        return cls(direction, key.astype(np.float32), sky.astype(np.float32), floor.astype(np.float32))


def normals(z: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit normals of a height field in face units: x, y, z parts, (H, W) each."""
    import cv2

    dx = cv2.Sobel(z, cv2.CV_32F, 1, 0, ksize=3, scale=scale / 8)
    dy = cv2.Sobel(z, cv2.CV_32F, 0, 1, ksize=3, scale=scale / 8)
    length = 1 / np.sqrt(dx * dx + dy * dy + 1)
    return -dx * length, -dy * length, length


def cast_shadow(z: np.ndarray, scale: float, light: Light, reach: float = 0.22, steps: int = 14) -> np.ndarray:
    """How much of the main light reaches each point, 0..1, soft: (H, W)."""
    import cv2

    small = cv2.resize(z, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    toward = light.direction
    hidden = np.zeros_like(small)
    flat = float(np.hypot(toward[0], toward[1])) + 1e-6
    rise = float(toward[2]) / flat
    for distance in np.geomspace(0.012, reach, steps):
        move = np.array([toward[0], toward[1]]) / flat * distance * scale / 2
        matrix = np.array([[1, 0, -move[0]], [0, 1, -move[1]]], np.float32)
        seen = cv2.warpAffine(small, matrix, small.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        over = (seen - small - distance * rise) / (0.10 * distance + 0.012)
        hidden = np.maximum(hidden, over)
    lit = 1 - smoothstep(0.0, 1.3, hidden)
    lit = blur(lit.astype(np.float32), 0.006 * scale)
    return np.asarray(cv2.resize(lit, z.shape[::-1], interpolation=cv2.INTER_LINEAR))


def openness(z: np.ndarray, scale: float) -> np.ndarray:
    """How much of the sky each point sees: small in hollows, 1 on the flat and on hills, (H, W)."""
    hollow = np.zeros_like(z)
    for reach, weight in ((0.014, 8.0), (0.035, 7.0), (0.08, 3.0)):
        hollow += weight * np.clip(blur(z, reach * scale) - z, -0.01, 0.05)
    return np.asarray(np.exp(-np.clip(hollow, -0.05, 1.2)), np.float32)


def irradiance(
    z: np.ndarray, scale: float, light: Light, shadow: np.ndarray, open_sky: np.ndarray, scatter: float = 1.0
) -> np.ndarray:
    """Light that falls on a surface, (H, W, 3) linear.

    Args:
        z: (H, W) height in face units.
        scale: pixels per face unit.
        light: the lights.
        shadow: (H, W) share of the main light, `cast_shadow`.
        open_sky: (H, W) share of the ambient light, `openness`.
        scatter: 1 for skin, in which red wanders furthest; 0 for matter without.
    """
    nx, ny, nz = normals(z, scale)
    facing = nx * light.direction[0] + ny * light.direction[1] + nz * light.direction[2]
    upward = 0.5 - 0.5 * ny
    channels = []
    for c, (wrap, reach) in enumerate(SCATTER):
        soft = wrap * scatter + 0.05
        direct = np.clip((facing + soft) / (1 + soft), 0, None) ** (1 + 0.5 * soft)
        lit = blur(direct * (shadow if scatter == 0 else shadow ** (0.80 + 0.2 * (c > 0))), reach * scatter * scale)
        ambient = light.floor[c] + (light.sky[c] - light.floor[c]) * upward
        # light bounces inside hollows of skin, and comes out red
        bounce = BOUNCE[c] * scatter * (1 - 0.5 * upward)
        channels.append(
            light.key[c] * lit * (0.5 + 0.5 * open_sky) + (ambient + bounce) * open_sky ** (1 if c else 0.8)
        )
    return np.stack(channels, axis=-1).astype(np.float32)


def gloss(z: np.ndarray, scale: float, light: Light, shadow: np.ndarray, sharpness: float) -> np.ndarray:
    """Mirror-like reflection of the main light, (H, W) 0..1 before its strength."""
    nx, ny, nz = normals(z, scale)
    half = light.direction + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    facing = np.clip(nx * half[0] + ny * half[1] + nz * half[2], 0, 1)
    return np.asarray(facing**sharpness * shadow, np.float32)
