"""Faces laid out as the supplied networks expect them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .pixels import grey_levels, warp

EYE_RIGHT, EYE_LEFT = (33, 133), (362, 263)
NOSE_TIP = (4,)
BROW_RIGHT, BROW_LEFT = (70, 63, 105, 66, 107), (336, 296, 334, 293, 300)
NOSE_CENTRE = (195, 4, 129, 358)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where named points lie in an aligned picture.

    Args:
        groups: point indices; each group's mean is one point.
        places: its x, y as share of the picture's width and height.
    """

    groups: tuple[tuple[int, ...], ...]
    places: tuple[tuple[float, float], ...]


# Source: ArcFace's five points in 112 x 112 pixels: eyes, nose tip, corners of the mouth.
ARCFACE = Layout(
    (EYE_RIGHT, EYE_LEFT, NOSE_TIP, (61,), (291,)),
    tuple(
        (x / 112, y / 112)
        for x, y in ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
    ),
)
# Source: LatentSync's three points in its 75 x 100 template: middles of the brows, nose. Its own points come from
# another landmark network; how far ours lie from them is not verified.
LATENTSYNC = Layout(
    (BROW_RIGHT, BROW_LEFT, NOSE_CENTRE), ((17 / 75, 20 / 100), (58 / 75, 20 / 100), (37.5 / 75, 40 / 100))
)
LATENTSYNC_SHAPE = 75 / 100  # width over height of the aligned picture, before it is squeezed to a square


def align_face(frame: np.ndarray, landmarks: np.ndarray, layout: Layout, side: int, shape: float = 1.0) -> np.ndarray:
    """The face as an aligned picture.

    Args:
        frame: (H, W, 3) uint8, or float in 0..1.
        landmarks: (478, 2) pixels.
        layout: where the points shall lie.
        side: pixels of the result's sides.
        shape: width over height of the layout's own picture, which is squeezed to the square.

    Returns:
        (side, side, 3) float32 in -1..1; beyond the frame grey.
    """
    points = np.array([landmarks[list(group), :2].mean(0) for group in layout.groups], dtype=np.float64)
    wanted = np.array(layout.places) * [shape * side, side]
    matrix = fit_similarity(points, wanted)
    matrix[0] /= shape
    matrix[:, 2] += matrix[:, :2].sum(1) / 2 - 0.5  # from coordinates of pixel corners to those of pixel centres
    return grey_levels(warp(frame, matrix, side, side)) / 127.5 - 1


def fit_similarity(points: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The turn, scale and shift that brings points nearest to where they are wanted, (2, 3).

    Args:
        points, wanted: (P, 2), P >= 2 different points.
    """
    a, b = points @ [1, 1j], wanted @ [1, 1j]
    centred = a - a.mean()
    turn = np.vdot(centred, b - b.mean()) / np.vdot(centred, centred).real
    shift = b.mean() - turn * a.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
