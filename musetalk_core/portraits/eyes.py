"""Eyes: ball, iris, lids, lashes; drawn anew in every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .identity import Identity
from .light import Light
from .paint import Sheet, blur, bump, mix, noise, smoothstep, strokes, to_display, to_light
from .surface import Layout

UPPER_OPEN, LOWER_OPEN = 0.385, 0.28  # heights of the lids' arcs over half the eye's width
IRIS = 0.405  # radius over half the eye's width: 6 mm of 15 mm
LASH_DETAIL = 2  # lashes are finer than a pixel: they are drawn this much larger and shrunk


@dataclass(frozen=True, slots=True, eq=False)
class Eyes:
    """What of a person's eyes does not change from frame to frame.

    Args:
        person, place, light: whom, where the eyes lie, in which light.
        shine: (2, 3) irradiance at the left and the right eye.
        fibres: (64, 256) pattern of the iris over radius and angle.
        lashes: (n, 4) place along the lid, length, slant and weight of each upper lash.
    """

    person: Identity
    place: Layout
    light: Light
    shine: np.ndarray
    fibres: np.ndarray
    lashes: np.ndarray

    @classmethod
    def of(cls, person: Identity, light: Light, sheet: Sheet, shine: np.ndarray) -> Eyes:
        """Prepare the eyes of a person in the light that falls on the face, (H, W, 3)."""
        rng = np.random.default_rng([person.seed, 23])
        place = Layout.of(person.shape)
        at = np.round(sheet.pixels(np.array([[-place.eye_x, place.eye_y + 0.03], [place.eye_x, place.eye_y + 0.03]])))
        soft = blur(shine, 0.03 * sheet.scale)
        local = np.stack([soft[int(y), int(x)] for x, y in at])
        local = 0.65 * local + 0.35 * local.mean(axis=0)
        spokes = noise(rng, (64, 256), 30, 0.09) * 0.6 + noise(rng, (64, 256), 14, 0.4) * 0.4
        count = 26
        u = np.linspace(-0.72, 1.0, count) + rng.normal(0, 0.015, count)
        length = (0.12 + 0.09 * smoothstep(-0.7, 0.7, u)) * (0.8 + 0.5 * person.feminine + 0.45 * person.makeup)
        length *= rng.uniform(0.75, 1.15, count)
        slant = 0.25 + 0.75 * (u + 0.3) + rng.normal(0, 0.08, count)
        lashes = np.stack([u, length, slant, rng.uniform(0.6, 1, count)], axis=1)
        return cls(person, place, light, local, spokes, lashes)

    def draw(self, canvas: np.ndarray, sheet: Sheet, opening: float, gaze: tuple[float, float]) -> None:
        """Draw both eyes into the face.

        Args:
            canvas: (H, W, 3) float32 display values, written to.
            sheet: its raster.
            opening: 0 shut, 1 as this person's eyes usually are, up to 1.2.
            gaze: -1..1 right and down.
        """
        half = self.place.eye_half
        for i, side in enumerate((-1, 1)):
            cx, cy = side * self.place.eye_x, self.place.eye_y
            part, where = sheet.window(cx - 1.75 * half, cy - 1.25 * half, cx + 1.75 * half, cy + 1.35 * half)
            canvas[where] = self._eye(canvas[where], part, i, opening, gaze)

    def lids(self, u: np.ndarray, opening: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Heights of the upper lid's edge, the lower lid's and the crease, at u in -1 (inner corner) .. 1."""
        shape = self.person.shape
        inside = np.clip(1 - u * u, 0, 1)
        top = inside**0.85 * (1 - 0.10 * u)
        bottom = inside**0.95 * (1 + 0.16 * u)
        low = LOWER_OPEN * shape.eye_open**0.5 * bottom
        high = -UPPER_OPEN * shape.eye_open * top
        shut = low * 0.92
        edge = shut + (high - shut) * min(max(opening, 0.0), 1.25)
        rest = np.clip(1 - (u / 1.12) ** 2, 0, 1) ** 0.6
        gap = (0.10 + 0.17 * shape.crease) * (1.12 + 0.1 * u)
        crease = -(UPPER_OPEN * shape.eye_open * (0.25 + 0.75 * min(opening, 1.1)) + gap) * rest
        return edge, low, crease

    def _eye(self, skin: np.ndarray, sheet: Sheet, index: int, opening: float, gaze: tuple[float, float]) -> np.ndarray:
        """One eye's window, painted: (h, w, 3) display values."""
        side = -1 if index == 0 else 1
        half = self.place.eye_half
        pixel = 1 / (half * sheet.scale)  # one pixel in the eye's own unit
        u = (sheet.x - side * self.place.eye_x) * side / half  # (1, w), -1 at the inner corner
        v = (sheet.y - self.place.eye_y) / half + u * self.person.shape.eye_tilt  # (h, w)
        edge, low, crease = self.lids(np.clip(u, -1, 1), opening)
        skin = self._lid_skin(skin, u, v, edge, low, crease, opening)
        steep = 1 + 1.6 * np.abs(u) ** 3
        inside = smoothstep(-0.6, 0.9, (v - edge) / (pixel * steep)) * smoothstep(
            -0.6, 0.9, (low - v) / (pixel * steep)
        )
        inside = inside * (np.abs(u) < 1)
        ball = self._ball(u * side, v, edge, low, index, gaze, side)
        result = mix(skin, ball, inside.astype(np.float32))
        return self._rims(result, sheet, side, u, v, edge, low, opening, pixel)

    def _lid_skin(
        self, skin: np.ndarray, u: np.ndarray, v: np.ndarray, edge: np.ndarray, low: np.ndarray,
        crease: np.ndarray, opening: float,
    ) -> np.ndarray:  # fmt: skip
        """Folds of the lids: the crease, the roundness of the lid below it, the bag under the eye."""
        along = np.clip(1 - (u / 1.15) ** 4, 0, 1)
        fold = np.exp(-0.5 * ((v - crease) / 0.040) ** 2) + 0.55 * np.exp(-0.5 * ((v - crease + 0.03) / 0.11) ** 2)
        deep = 0.38 * (0.45 + 0.55 * min(opening, 1.0)) * along * fold
        lid = np.clip((v - crease) / np.maximum(edge - crease, 0.05), 0, 1)
        lid = np.where((v > crease) & (v < edge + 0.05), np.sin(np.pi * lid), 0) * along
        shade = 1 - deep + 0.07 * lid
        under = v - low
        shade = shade - 0.10 * along * np.exp(-0.5 * ((under - 0.10) / 0.07) ** 2)
        shade = shade + 0.04 * along * np.exp(-0.5 * ((under - 0.05) / 0.025) ** 2)
        shade = shade - (0.05 + 0.08 * self.person.age) * along * np.exp(-0.5 * ((under - 0.42) / 0.10) ** 2)
        warm = np.array([0.80, 1.0, 1.04], np.float32)
        return np.asarray(skin * (1 + (shade[..., None] - 1) * warm), np.float32)

    def _ball(
        self, x: np.ndarray, v: np.ndarray, edge: np.ndarray, low: np.ndarray, index: int,
        gaze: tuple[float, float], side: int,
    ) -> np.ndarray:  # fmt: skip
        """White, iris and pupil with their light; x to the picture's right in the eye's unit: (h, w, 3) display."""
        shine = self.shine[index] * 0.92
        away = np.sqrt(x * x + (v + 0.05) ** 2)
        round_ = np.clip(1 - 0.32 * away**2, 0.3, 1) * (1 - 0.08 * x * np.sign(-self.light.direction[0]))
        lidded = 0.42 + 0.58 * smoothstep(-0.02, 0.34, v - edge)
        lidded = lidded * (0.80 + 0.20 * smoothstep(0.0, 0.12, low - v))
        white = to_light((224, 216, 211)) * np.ones((*v.shape, 1), np.float32)
        blood = smoothstep(0.55, 1.0, np.abs(x))[..., None] * 0.35 * np.ones_like(white[..., :1])
        white = white * (1 - blood * np.array([0.05, 0.30, 0.32], np.float32))
        corner = bump(x * side + 0.93, v - 0.06, 0.075, 0.09)[..., None]
        white = white + (to_light((196, 118, 108)) - white) * np.clip(corner * 1.2, 0, 1)
        ix, iy = x - 0.26 * gaze[0], v + 0.035 - 0.16 * gaze[1]
        r = np.sqrt(ix * ix + iy * iy) / IRIS
        angle = np.arctan2(iy, ix)
        column = ((angle / (2 * np.pi) + 0.5) * 255).astype(np.int64)
        row = np.clip(r * 63, 0, 63).astype(np.int64)
        fibre = self.fibres[row, column]
        base = to_light(self.person.iris)
        toward = np.arctan2(self.light.direction[1], self.light.direction[0])
        far = 0.5 - 0.5 * np.cos(angle - toward)  # light enters on one side and glows on the other
        tone = (
            (0.85 + 0.30 * fibre)
            * (0.75 + 0.95 * far * smoothstep(0.3, 0.8, r))
            * (1 - 0.62 * smoothstep(0.74, 1.02, r))
        )
        iris = base * (tone * (0.9 + 0.35 * np.exp(-0.5 * ((r - 0.48) / 0.12) ** 2)))[..., None] * 1.12
        pupil = smoothstep(0.44, 0.36, r)[..., None]
        iris = iris * (1 - 0.96 * pupil)
        edge_soft = smoothstep(1.06, 0.94, r)[..., None]
        color = (white + (iris - white) * edge_soft) * (round_ * lidded)[..., None] * shine
        color = to_display(np.clip(color, 0, None).astype(np.float32))
        spot_x = ix - 0.17 * np.sign(self.light.direction[0]) * 1.0
        spot = np.clip(1.5 * bump(spot_x, iy + 0.15, 0.055, 0.060) - 0.12, 0, 1)
        spot = spot + 0.16 * bump(ix + 0.16 * np.sign(self.light.direction[0]), iy - 0.17, 0.06, 0.04)
        spot = spot * smoothstep(0.0, 0.06, v - edge)
        return np.asarray(np.clip(color + spot[..., None] * np.array([0.80, 0.82, 0.84], np.float32), 0, 1), np.float32)

    def _rims(
        self, image: np.ndarray, sheet: Sheet, side: int, u: np.ndarray, v: np.ndarray, edge: np.ndarray,
        low: np.ndarray, opening: float, pixel: float,
    ) -> np.ndarray:  # fmt: skip
        """Lash lines, the wet rim of the lower lid, and the lashes."""
        import cv2

        within = smoothstep(1.06, 0.98, np.abs(u))
        makeup = self.person.makeup
        wet = np.exp(-0.5 * ((v - low - 0.015) / (0.022 + 0.3 * pixel)) ** 2) * smoothstep(0.98, 0.8, np.abs(u))
        image = image + (np.array([0.05, -0.01, -0.01], np.float32) * wet[..., None]) * min(1.0, opening)
        below = np.exp(-0.5 * ((v - low - 0.055) / (0.026 + 0.4 * pixel)) ** 2) * within * smoothstep(-1.0, 0.6, u)
        image = image * (1 - (0.16 + 0.22 * makeup) * below[..., None])
        width = (0.030 + 0.020 * makeup) * (0.55 + 0.6 * smoothstep(-0.9, 0.7, u)) + 0.35 * pixel
        line = np.exp(-0.5 * ((v - edge + 0.012) / width) ** 2.0) * within
        weight = np.float32(0.70 + 0.10 * self.person.feminine + 0.15 * makeup)
        dark = np.array(self.person.brow_color, np.float32) / 255 * 0.32
        image = mix(image, np.broadcast_to(dark, image.shape), np.asarray(line * weight, np.float32))
        large = np.zeros((sheet.height * LASH_DETAIL, sheet.width * LASH_DETAIL), np.uint8)
        strokes(large, self._lash_lines(sheet, side, opening) * LASH_DETAIL + 0.5, self.lashes[:, 3] * 210)
        hairs = cv2.resize(large, (sheet.width, sheet.height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        hairs *= 0.55 + 0.35 * makeup + 0.1 * self.person.feminine
        return mix(image, np.broadcast_to(dark, image.shape), np.clip(hairs, 0, 1))

    def _lash_lines(self, sheet: Sheet, side: int, opening: float) -> np.ndarray:
        """(n, 5, 2) pixel indices of the upper lashes: they point up on an open eye, down on a shut one."""
        u, length, slant, _ = (self.lashes[:, c, None] for c in range(4))
        edge, _, _ = self.lids(np.clip(u, -0.999, 0.999), opening)
        t = np.linspace(0, 1, 5)[None]
        rise = -np.cos(np.pi * (1 - np.clip(opening, 0, 1)) * 0.62)
        x = u + length * (slant * t * 0.9)
        v = edge - 0.01 + length * (rise * (t**1.6) + 0.22 * t * (1 - t) * 2)
        half = self.place.eye_half
        points = np.stack(
            [side * (self.place.eye_x + x * half), self.place.eye_y + (v - x * self.person.shape.eye_tilt) * half],
            axis=-1,
        )
        return sheet.pixels(points)
