"""Who is drawn: everything about a person that a seed decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

HairStyle = Literal["bald", "buzz", "crop", "side", "swept", "curls", "afro", "bob", "long", "waves", "bun", "fringe"]
BeardStyle = Literal["none", "stubble", "moustache", "goatee", "full"]
Clothes = Literal["crew", "collar", "vneck", "hoodie", "jacket"]
Scene = Literal["gradient", "bokeh", "window", "shelves", "wall"]

Color = tuple[float, float, float]  # display values 0..255

# Skin from fair to deep; display colours in even light.
SKIN = ((240, 204, 188), (232, 187, 167), (216, 166, 140), (193, 141, 112), (160, 110, 83), (123, 80, 61), (88, 57, 46))
HAIR: dict[str, Color] = {
    "black": (31, 27, 25),
    "espresso": (48, 35, 28),
    "brown": (78, 53, 37),
    "chestnut": (104, 64, 40),
    "auburn": (128, 62, 32),
    "ginger": (170, 92, 44),
    "dark blond": (136, 104, 66),
    "blond": (190, 152, 98),
    "grey": (140, 137, 134),
    "white": (206, 203, 198),
}
IRIS: dict[str, Color] = {
    "dark": (58, 36, 22),
    "brown": (92, 56, 30),
    "hazel": (122, 92, 48),
    "green": (96, 112, 72),
    "grey": (112, 122, 128),
    "blue": (84, 120, 158),
}
CLOTH: tuple[Color, ...] = (
    (44, 52, 70), (78, 84, 92), (132, 48, 46), (52, 84, 74), (206, 200, 188), (36, 36, 40),
    (96, 120, 146), (150, 128, 96), (94, 62, 88), (178, 118, 72), (62, 96, 120), (188, 176, 186),
)  # fmt: skip
MASCULINE_STYLES: tuple[HairStyle, ...] = ("crop", "side", "swept", "buzz", "bald", "curls", "afro", "crop", "side")
FEMININE_STYLES: tuple[HairStyle, ...] = ("long", "bob", "waves", "bun", "fringe", "long", "waves", "afro", "curls")


@dataclass(frozen=True, slots=True)
class FaceShape:
    """Proportions, as factors of the mean face unless a unit is named.

    Args:
        cheek, jaw, forehead: widths.
        chin_point: 0 square to 1 pointed.
        chin: how far the chin stands out.
        eye_size, eye_gap, eye_open: eyes.
        eye_tilt: radians, outer corners up.
        crease: 0..1, how much of the upper lid shows under its crease.
        brow_lift: face units. brow_arch: factor. brow_thick: factor.
        nose_length, nose_width, nose_bridge, nose_tip: nose; its bridge's and tip's height.
        lip_upper, lip_lower, mouth_width: mouth.
        mouth_drop: face units, lower mouth.
        bow: 0..1, how marked Cupid's bow is.
        corner: face units, corners of the mouth up.
        ear: size.
        brow_ridge, cheekbone, nasolabial: how marked.
        uneven: face units by which nose and mouth stand to a side, brows and mouth's corners slant.
    """

    cheek: float = 1.0
    jaw: float = 1.0
    forehead: float = 1.0
    chin_point: float = 0.4
    chin: float = 1.0
    eye_size: float = 1.0
    eye_gap: float = 1.0
    eye_open: float = 1.0
    eye_tilt: float = 0.03
    crease: float = 0.5
    brow_lift: float = 0.0
    brow_arch: float = 1.0
    brow_thick: float = 1.0
    nose_length: float = 1.0
    nose_width: float = 1.0
    nose_bridge: float = 1.0
    nose_tip: float = 1.0
    lip_upper: float = 1.0
    lip_lower: float = 1.0
    mouth_width: float = 1.0
    mouth_drop: float = 0.0
    bow: float = 0.5
    corner: float = 0.0
    ear: float = 1.0
    brow_ridge: float = 1.0
    cheekbone: float = 1.0
    nasolabial: float = 0.3
    uneven: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Identity:
    """One drawn person.

    Args:
        seed: source of every small detail (strands, pores, folds).
        shape: proportions.
        feminine: 0..1, how far cues of shape and dress go that way.
        age: 0..1, about 18 to 70 years.
        skin: display colour of the skin in even light. ruddy: 0..1, blood in cheeks, nose and lips.
        freckles: 0..1. lips: display colour. iris: display colour.
        hair: style; hair_color, brow_color: display colours. part: -1..1, where the hair is parted.
        beard: style.
        makeup: 0..1, darker lashes and lids, stronger lips.
        glasses: a frame before the eyes. frame_color: its display colour.
        clothes, cloth_color, under_color: what the shoulders wear.
        scene, scene_color, accent_color: what is behind.
        light_side: -1..1, where the main light stands. light_height: radians above the horizon.
        light_warmth: -1..1, blue to orange. light_soft: 0..1, how much the shadows are filled.
    """

    seed: int
    shape: FaceShape
    feminine: float
    age: float
    skin: Color
    ruddy: float
    freckles: float
    lips: Color
    iris: Color
    hair: HairStyle
    hair_color: Color
    brow_color: Color
    part: float
    beard: BeardStyle
    makeup: float
    glasses: bool
    frame_color: Color
    clothes: Clothes
    cloth_color: Color
    under_color: Color
    scene: Scene
    scene_color: Color
    accent_color: Color
    light_side: float
    light_height: float
    light_warmth: float
    light_soft: float

    @classmethod
    def from_seed(cls, seed: int) -> Identity:
        """The person that a seed stands for: the same one in every run."""
        rng = np.random.default_rng([seed, 0x9E37])
        female = bool(rng.random() < 0.5)
        feminine = float(np.clip((0.78 if female else 0.2) + rng.normal(0, 0.1), 0, 1))
        age = float(rng.beta(1.6, 2.4))
        tone = float(rng.beta(1.1, 1.3))
        hair, grown, bearded = _hair(rng, female, age, tone)
        skin = _along(SKIN, tone, rng, 4)
        ruddy = float(rng.uniform(0.2, 1))
        light = float(rng.uniform(0.3, 0.95)) * float(rng.choice([-1, 1]))
        scene_color = _muted(rng, rng.uniform(60, 185), 15)
        brow = _blend(grown if hair not in ("bald",) else HAIR["brown"], (40, 30, 26), 0.45)
        return cls(
            seed=seed,
            shape=_shape(rng, feminine, age),
            feminine=feminine,
            age=age,
            skin=skin,
            ruddy=ruddy,
            freckles=float(rng.uniform(0.4, 1)) if tone < 0.35 and rng.random() < 0.3 else 0.0,
            lips=_lips(skin, tone, feminine, rng),
            iris=_iris(rng, tone),
            hair=hair,
            hair_color=grown,
            brow_color=brow,
            part=float(rng.uniform(0.25, 0.6) * rng.choice([-1, 1])) if rng.random() < 0.7 else 0.0,
            beard=bearded,
            makeup=float(rng.uniform(0.2, 1)) if female and rng.random() < 0.75 else 0.0,
            glasses=bool(rng.random() < 0.2),
            frame_color=((28, 26, 28), (74, 48, 34), (120, 110, 100), (40, 50, 84))[rng.integers(4)],
            clothes=("crew", "collar", "vneck", "hoodie", "jacket")[rng.integers(5)],
            cloth_color=CLOTH[rng.integers(len(CLOTH))],
            under_color=CLOTH[rng.integers(len(CLOTH))],
            scene=("gradient", "bokeh", "window", "shelves", "wall")[rng.integers(5)],
            scene_color=scene_color,
            accent_color=_blend(scene_color, _muted(rng, rng.uniform(90, 220), 28), 0.8),
            light_side=light,
            light_height=float(rng.uniform(0.35, 0.85)),
            light_warmth=float(rng.normal(0.15, 0.4)),
            light_soft=float(rng.uniform(0.25, 0.8)),
        )


def _shape(rng: np.random.Generator, feminine: float, age: float) -> FaceShape:
    """Proportions around the mean of a man's or a woman's face, within what reads as natural."""
    f = feminine - 0.5

    def vary(mean: float, deviation: float) -> float:
        return float(mean + deviation * np.clip(rng.standard_normal(), -1.8, 1.8))

    return FaceShape(
        cheek=vary(1.0 - 0.01 * f, 0.034),
        jaw=vary(0.975 - 0.09 * f, 0.042),
        forehead=vary(1.0, 0.035),
        chin_point=float(np.clip(vary(0.42 + 0.4 * f, 0.2), 0, 1)),
        chin=vary(1.0 - 0.2 * f, 0.15),
        eye_size=vary(1.0 + 0.08 * f, 0.04),
        eye_gap=vary(1.0, 0.032),
        eye_open=vary(1.0 + 0.16 * f - 0.12 * age, 0.10),
        eye_tilt=vary(0.035 + 0.06 * f, 0.035),
        crease=float(np.clip(vary(0.45 + 0.3 * f, 0.25), 0.02, 1)),
        brow_lift=vary(0.010 * f, 0.006),
        brow_arch=vary(1.0 + 0.7 * f, 0.3),
        brow_thick=vary(1.0 - 0.5 * f, 0.14),
        nose_length=vary(1.0 - 0.03 * f + 0.02 * age, 0.035),
        nose_width=vary(1.0 - 0.14 * f, 0.105),
        nose_bridge=vary(1.0 - 0.2 * f, 0.22),
        nose_tip=vary(1.0 - 0.08 * f, 0.10),
        lip_upper=vary(1.02 + 0.35 * f - 0.20 * age, 0.13),
        lip_lower=vary(1.02 + 0.25 * f - 0.13 * age, 0.11),
        mouth_width=vary(1.0 - 0.04 * f, 0.06),
        mouth_drop=vary(0.0, 0.010),
        bow=float(np.clip(vary(0.5 + 0.3 * f, 0.2), 0.1, 1)),
        corner=vary(0.002, 0.004),
        ear=vary(1.0 - 0.08 * f, 0.06),
        brow_ridge=vary(1.0 - 0.9 * f, 0.2),
        cheekbone=vary(1.0, 0.3),
        nasolabial=float(np.clip(vary(0.15 + 0.8 * age, 0.1), 0.05, 1)),
        uneven=(vary(0, 0.004), vary(0, 0.004), vary(0, 0.004), vary(0, 0.003)),
    )


def _hair(rng: np.random.Generator, female: bool, age: float, tone: float) -> tuple[HairStyle, Color, BeardStyle]:
    """Style, colour and beard that go together."""
    style = (FEMININE_STYLES if female else MASCULINE_STYLES)[rng.integers(9)]
    if style == "afro" and tone < 0.45:
        style = "curls"
    if age > 0.55 and not female and rng.random() < 0.15:
        style = "bald"
    if tone > 0.5:
        names = ["black", "black", "espresso", "espresso"]
    elif tone > 0.3:
        names = ["black", "espresso", "brown", "brown", "chestnut"]
    else:
        names = ["espresso", "brown", "chestnut", "auburn", "ginger", "dark blond", "blond", "blond"]
    color = HAIR[names[rng.integers(len(names))]]
    grey = float(np.clip((age - 0.58) * 3.5 + rng.normal(0, 0.25), 0, 1)) if age > 0.55 else 0.0
    color = _blend(color, HAIR["white" if age > 0.8 else "grey"], grey)
    beards: tuple[BeardStyle, ...] = ("none", "none", "stubble", "stubble", "moustache", "goatee", "full", "full")
    beard = "none" if female else beards[rng.integers(8)]
    shade = float(rng.normal(1, 0.07))
    warm = float(rng.normal(0, 0.025))
    return style, (color[0] * shade * (1 + warm), color[1] * shade, color[2] * shade * (1 - warm)), beard


def _iris(rng: np.random.Generator, tone: float) -> Color:
    names = ["dark", "dark", "brown"] if tone > 0.5 else ["brown", "hazel", "green", "grey", "blue", "blue", "dark"]
    return IRIS[names[rng.integers(len(names))]]


def _lips(skin: Color, tone: float, feminine: float, rng: np.random.Generator) -> Color:
    """Lip colour in harmony with the skin: the same, with more blood in it; sometimes a lipstick."""
    natural = (skin[0] * 0.86, skin[1] * (0.64 - 0.02 * tone), skin[2] * (0.68 + 0.04 * tone))
    stick: Color = ((168, 48, 62), (178, 84, 88), (140, 52, 64), (190, 96, 92))[rng.integers(4)]
    return _blend(natural, stick, 0.45 * float(rng.random()) if feminine > 0.6 and rng.random() < 0.6 else 0.0)


def _along(ramp: tuple[Color, ...], at: float, rng: np.random.Generator, jitter: float) -> Color:
    """A colour on a ramp, with a little of its own."""
    table = np.array(ramp)
    color = [
        np.interp(at * (len(ramp) - 1), np.arange(len(ramp)), table[:, c]) + rng.normal(0, jitter) for c in range(3)
    ]
    return float(color[0]), float(color[1]), float(color[2])


def _blend(first: Color, second: Color, share: float) -> Color:
    a, b, c = (p + (q - p) * share for p, q in zip(first, second, strict=True))
    return a, b, c


def _muted(rng: np.random.Generator, luma: float, chroma: float) -> Color:
    """A quiet colour of a given brightness: mostly along warm to cool, as rooms are."""
    warm, green = (float(v) for v in rng.normal(0, chroma, 2))
    a, b, c = (
        float(np.clip(luma + v, 8, 245)) for v in (warm - 0.25 * green, 0.15 * warm + 0.3 * green, -warm - 0.1 * green)
    )
    return a, b, c
