"""The mouth: lips, teeth, tongue and the dark behind; drawn anew in every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .identity import Identity
from .light import Light, gloss, irradiance, openness
from .paint import Sheet, blur, bump, mix, noise, smoothstep, to_display, to_light
from .surface import CHIN_PER_GAP, LIP_LOWER, LIP_UPPER, UPPER_SHARE, Layout

# Widths of the upper teeth from the middle outwards, as seen from the front; 1 mm is about 0.0055.
UPPER_TEETH = np.cumsum([0.0, 0.0430, 0.0330, 0.0300, 0.0225, 0.0170, 0.0120])
LOWER_TEETH = np.cumsum([0.0, 0.0265, 0.0285, 0.0300, 0.0240, 0.0180, 0.0130])
INSIDE = 0.93  # the lips part up to this share of the mouth's half width
CAVITY = (46, 14, 15)  # display colour of the throat
TONGUE = (176, 88, 86)
TEETH = (232, 219, 199)


@dataclass(frozen=True, slots=True)
class LipLines:
    """The lips' four edges over the mouth's width, face units down.

    Args:
        t: place from corner (-1) to corner (1).
        outer_upper, inner_upper, inner_lower, outer_lower: (n,) each.
        half: half the distance of the corners.
    """

    t: np.ndarray
    outer_upper: np.ndarray
    inner_upper: np.ndarray
    inner_lower: np.ndarray
    outer_lower: np.ndarray
    half: float


def lip_lines(person: Identity, t: np.ndarray, gap: float, half: float, rounding: float) -> LipLines:
    """The lips' edges.

    Args:
        person: whose lips.
        t: (n,) places from corner to corner, -1..1.
        gap: face units between the inner lips in the middle.
        half: half the distance of the corners.
        rounding: 0..1, lips pushed forward.
    """
    shape, place = person.shape, Layout.of(person.shape)
    a = np.abs(np.clip(t, -1, 1))
    wide = half / place.mouth_half
    corner = -shape.corner - 0.10 * (half - place.mouth_half) + 0.34 * gap
    middle = (
        place.mouth_y
        + corner * a**2
        + 0.0035 * shape.bow * (np.exp(-((a / 0.10) ** 2)) - 1.0 * np.exp(-(((a - 0.32) / 0.16) ** 2)))
    )
    power = 2.2 + 0.9 * rounding
    part = np.clip(1 - (a / INSIDE) ** power, 0, 1) ** 0.72
    inner_upper = middle - UPPER_SHARE * gap * part
    inner_lower = middle + (1 - UPPER_SHARE) * gap * part
    full = (1 - 0.9 * gap) * (1.12 - 0.12 * wide) * (1 + 0.10 * rounding)
    upper = LIP_UPPER * shape.lip_upper * full
    lower = LIP_LOWER * shape.lip_lower * full * (1 - 0.8 * gap)
    arch = np.clip(1 - a**1.55, 0, 1) ** 0.92
    dip = (
        1
        - (0.10 + 0.20 * shape.bow) * np.exp(-((a / 0.115) ** 2))
        + 0.06 * shape.bow * np.exp(-(((a - 0.27) / 0.14) ** 2))
    )
    outer_upper = inner_upper - upper * arch * dip
    outer_lower = inner_lower + lower * np.clip(1 - a**2.3, 0, 1) ** 0.80
    return LipLines(t, outer_upper, inner_upper, inner_lower, outer_lower, half)


@dataclass(frozen=True, slots=True, eq=False)
class Mouth:
    """What of a person's mouth does not change from frame to frame.

    Args:
        person, place, light: whom, where, in which light.
        wrinkles: (32, 256) texture of the lips over height and width.
        bite: (12,) darkness and length of single teeth.
    """

    person: Identity
    place: Layout
    light: Light
    wrinkles: np.ndarray
    bite: np.ndarray

    @classmethod
    def of(cls, person: Identity, light: Light) -> Mouth:
        """Prepare a person's mouth."""
        rng = np.random.default_rng([person.seed, 37])
        fine = noise(rng, (32, 256), 24, 0.12) + 0.7 * noise(rng, (32, 256), 18, 0.30)
        return cls(person, Layout.of(person.shape), light, fine.astype(np.float32), rng.normal(0, 1, 12))

    def draw(
        self, canvas: np.ndarray, sheet: Sheet, depth: np.ndarray, shadow: np.ndarray, gap: float, half: float,
        rounding: float,
    ) -> None:  # fmt: skip
        """Draw the mouth into the face.

        Args:
            canvas: (H, W, 3) float32 display values, written to.
            sheet: its raster.
            depth: (H, W) resting face.
            shadow: (H, W) share of the main light that arrives.
            gap, half, rounding: as in `lip_lines`.
        """
        y, reach = self.place.mouth_y, half + 0.05
        part, where = sheet.window(-reach, y - 0.085, reach, y + 0.12 + gap)
        canvas[where] = self._paint(canvas[where], part, depth[where], shadow[where], gap, half, rounding)

    def _paint(
        self, skin: np.ndarray, sheet: Sheet, depth: np.ndarray, shadow: np.ndarray, gap: float, half: float,
        rounding: float,
    ) -> np.ndarray:  # fmt: skip
        """The mouth's window, painted: (h, w, 3) display values."""
        pixel = 1 / sheet.scale
        t = sheet.x / half  # (1, w)
        y = sheet.y  # (h, 1)
        lines = lip_lines(self.person, t, gap, half, rounding)
        across = np.abs(t) < 1.0
        up = (y - lines.outer_upper) / np.maximum(lines.inner_upper - lines.outer_upper, 0.25 * pixel)
        down = (y - lines.inner_lower) / np.maximum(lines.outer_lower - lines.inner_lower, 0.25 * pixel)
        upper = np.where((up > 0) & (up < 1) & across, up, 0)
        lower = np.where((down > 0) & (down < 1) & across, down, 0)
        fade = np.clip(1 - np.abs(t) ** 3, 0, 1)
        swell = 0.014 * np.sin(np.pi * upper**1.25) ** 0.8 * self.person.shape.lip_upper
        swell = swell + 0.021 * np.sin(np.pi * lower**0.72) ** 0.9 * self.person.shape.lip_lower
        z = depth + blur((swell * fade * (1 + 0.5 * rounding)).astype(np.float32), 1.1 + 0.004 * sheet.scale)
        z = (
            z
            - 0.010 * np.exp(-0.5 * ((y - (lines.inner_upper + lines.inner_lower) / 2) / (0.006 + gap / 2)) ** 2) * fade
        )
        skin = self._around(skin, lines, t, y, gap)
        lips = self._lips(sheet, z.astype(np.float32), shadow, t, upper, lower)
        soft = 0.0032 + 0.35 * pixel  # the lips' border is soft on a real face
        shape = smoothstep(-soft, soft, y - lines.outer_upper - 0.001) * smoothstep(-soft, soft, lines.outer_lower - y)
        shape = shape * smoothstep(1.0, 0.94, np.abs(t))
        result = mix(skin, lips, np.asarray(shape * 0.94, np.float32))
        return self._opening(result, sheet, lines, t, y, gap, half)

    def _around(self, skin: np.ndarray, lines: LipLines, t: np.ndarray, y: np.ndarray, gap: float) -> np.ndarray:
        """Shadow below the lower lip, light on the border of the upper one, dimples at the corners."""
        fade = np.clip(1 - np.abs(t) ** 2, 0, 1)
        below = np.exp(-0.5 * ((y - lines.outer_lower - 0.008) / 0.012) ** 2) * fade
        rim = np.exp(-0.5 * ((y - lines.outer_upper + 0.004) / 0.004) ** 2) * fade
        corner_y = float(lines.inner_upper.ravel()[-1])
        dimple = bump(np.abs(t) * lines.half - lines.half - 0.004, y - corner_y, 0.012, 0.014)
        shade = 1 - 0.20 * below + 0.045 * rim - 0.22 * dimple
        return np.asarray(skin * (1 + (shade[..., None] - 1) * np.array([0.85, 1, 1.02], np.float32)), np.float32)

    def _lips(
        self, sheet: Sheet, z: np.ndarray, shadow: np.ndarray, t: np.ndarray, upper: np.ndarray, lower: np.ndarray
    ) -> np.ndarray:
        """Lit lips over the whole window, (h, w, 3) display values."""
        height = np.where(lower > 0, 16 + 15 * lower, 15 * upper).astype(np.int64)
        column = np.clip((t * 0.5 + 0.5) * 255, 0, 255).astype(np.int64)
        texture = self.wrinkles[height, np.broadcast_to(column, height.shape)]
        rough = z + texture * 0.00035 * ((upper > 0) | (lower > 0))
        color = to_light(self.person.lips)
        darker = 1 - 0.16 * (upper > 0) - 0.18 * np.exp(-lower / 0.16) * (lower > 0)
        albedo = color * (darker * (1 + 0.06 * texture) * (1 - 0.10 * np.abs(t) ** 3))[..., None]
        sky = openness(z, sheet.scale)
        shine = irradiance(rough.astype(np.float32), sheet.scale, self.light, shadow, sky, 0.7)
        wet = gloss(rough.astype(np.float32), sheet.scale, self.light, shadow, 26)
        bright = 0.10 + 0.10 * self.person.makeup
        wet = wet * bright * (1 + 0.35 * texture) * np.where(lower > 0, 1.0, 0.5)
        return to_display((albedo * shine + wet[..., None] * self.light.key).astype(np.float32))

    def _opening(
        self, image: np.ndarray, sheet: Sheet, lines: LipLines, t: np.ndarray, y: np.ndarray, gap: float, half: float
    ) -> np.ndarray:
        """What is seen between the lips, and the line where they meet."""
        pixel = 1 / sheet.scale
        parted = lines.inner_lower - lines.inner_upper
        seam_y = (lines.inner_upper + lines.inner_lower) / 2
        apart = min(gap / 0.014, 1.0)  # the seam's shadow would make a narrow gap look wider than it is
        thin = 0.0030 * (1 - 0.7 * apart) + 0.45 * pixel * (1 - 0.4 * apart)
        closed = np.exp(-0.5 * (np.maximum(np.abs(y - seam_y) - parted / 2, 0) / thin) ** 2)
        closed = closed * smoothstep(1.02, 0.90, np.abs(t)) * (0.86 - 0.22 * np.abs(t))
        glow = np.exp(-0.5 * (np.maximum(np.abs(y - seam_y) - parted / 2, 0) / 0.008) ** 2) * smoothstep(
            1.06, 0.7, np.abs(t)
        )
        dark = np.array(self.person.lips, np.float32) / 255 * np.array([0.34, 0.22, 0.24], np.float32)
        image = image * (1 - 0.22 * (1 - 0.6 * apart) * glow[..., None])
        image = mix(image, np.broadcast_to(dark, image.shape), np.asarray(closed, np.float32))
        if gap < 0.002:
            return image
        inside = np.clip((y - lines.inner_upper) / pixel + 0.5, 0, 1) * np.clip(
            (lines.inner_lower - y) / pixel + 0.5, 0, 1
        )
        inside = inside * smoothstep(0.0, 1.2 * pixel, parted) * (np.abs(t) < INSIDE)
        return mix(image, self._inside(sheet, lines, t, y, gap, half), np.asarray(inside, np.float32))

    def _inside(
        self, sheet: Sheet, lines: LipLines, t: np.ndarray, y: np.ndarray, gap: float, half: float
    ) -> np.ndarray:
        """Cavity, tongue and teeth over the whole window, (h, w, 3) display values."""
        x, middle = sheet.x, self.place.mouth_y
        light = float(np.mean(self.light.key + self.light.sky)) * 0.80
        wide = (half - self.place.mouth_half) / self.place.mouth_half
        color = np.broadcast_to(to_light(CAVITY), (*np.broadcast_shapes(x.shape, y.shape), 3)).copy()
        jaw = CHIN_PER_GAP * gap
        # tongue: a low hill behind the lower teeth
        top = middle + 0.50 * jaw + 0.012 + 4.0 * x**2
        tongue = smoothstep(0.0, 0.018, y - top) * smoothstep(0.100, 0.070, np.abs(x))
        lit = 0.30 + 0.60 * smoothstep(0.0, 0.05, y - top) - 0.14 * np.exp(-0.5 * (x / 0.008) ** 2)
        color += (to_light(TONGUE) * (lit * light)[..., None] - color) * tongue[..., None]
        lower_edge = middle + 1.02 * jaw + 0.010 + 0.8 * x**2
        color = self._row(color, x, y, lower_edge, LOWER_TEETH, -1, light * 0.62, 6, sheet.scale)
        upper_edge = middle + 0.011 + 0.012 * np.clip(wide, -0.3, 0.3) - 0.9 * x**2
        color = self._row(color, x, y, upper_edge, UPPER_TEETH, 1, light * 0.92, 0, sheet.scale)
        shade = 0.30 + 0.70 * smoothstep(-0.002, 0.020, y - lines.inner_upper)
        shade = shade * (0.55 + 0.45 * smoothstep(0.0, 0.012, lines.inner_lower - y))
        shade = shade * (1 - 0.55 * smoothstep(0.35, 0.95, np.abs(t)))
        return to_display((color * shade[..., None]).astype(np.float32))

    def _row(
        self, color: np.ndarray, x: np.ndarray, y: np.ndarray, edge: np.ndarray, bounds: np.ndarray, side: int,
        light: float, first: int, scale: float,
    ) -> np.ndarray:  # fmt: skip
        """One row of teeth whose biting edge is at `edge`; side 1 hangs from above, -1 stands below."""
        pixel = 1 / scale
        place = np.abs(x)
        which = np.clip(np.searchsorted(bounds, place, side="right") - 1, 0, len(bounds) - 2)
        low, high = bounds[which], bounds[which + 1]
        within = np.clip((place - low) / (high - low), 0, 1)
        mirrored = (which + (x < 0) * 3) % 6
        length = edge + side * (0.0016 * self.bite[first + mirrored] - 0.0028 * (which == 1) * (side == 1))
        length = length - side * 0.007 * np.abs(2 * within - 1) ** 4
        tooth = smoothstep(-0.8 * pixel, 0.8 * pixel, side * (length - y)) * (place < bounds[-1])
        gap = np.exp(-0.5 * ((np.minimum(within, 1 - within) * (high - low)) / (0.0009 + 0.35 * pixel)) ** 2)
        rounded = 1 - 0.22 * np.abs(2 * within - 1) ** 2.5
        far = 1 - 0.50 * smoothstep(0.03, 0.13, place)
        tint = to_light(TEETH) * np.array([1, 1 - 0.02 * self.person.age, 1 - 0.12 * self.person.age], np.float32)
        bright = rounded * far * (1 - 0.38 * gap) * light * (1 + 0.02 * self.bite[first + mirrored])
        bright = bright * (0.84 + 0.16 * smoothstep(0.0, 0.018, side * (edge - y)))
        gum = smoothstep(0.052, 0.060, side * (edge - y) + 0.006 * np.abs(2 * within - 1) ** 2)
        shown = tint * bright[..., None]
        shown = shown + (to_light((178, 92, 92)) * (light * 0.6 * far)[..., None] - shown) * gum[..., None]
        return np.asarray(color + (shown - color) * tooth[..., None], np.float32)
