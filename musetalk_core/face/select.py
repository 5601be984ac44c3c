"""Which of the people in a clip speak."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import FaceError
from .options import Selection
from .people import Person


def select_people(
    people: Sequence[Person], selection: Selection, index: int, point: tuple[float, float]
) -> list[Person]:
    """The chosen people.

    Args:
        people: everybody, at least one.
        selection: "largest" by area summed over the clip; "index" counts from left to right by where each person is
            first seen; "point" is the face that contains the point when it is first seen, else the nearest; "all"
            gives everybody from left to right.
        index: for "index", from 0.
        point: for "point", x and y in pixels.

    Raises:
        FaceError: there are not that many people.
    """
    ordered = sorted(people, key=lambda person: float(person.first_box[0] + person.first_box[2]))
    if selection == "all":
        return ordered
    if selection == "largest":
        return [max(people, key=lambda person: person.area)]
    if selection == "point":
        return [min(people, key=lambda person: _distance(person.first_box, np.array(point)))]
    if index >= len(ordered):
        raise FaceError(
            f"There is no face number {index}: the footage shows {len(ordered)}.", "The leftmost face is number 0."
        )
    return [ordered[index]]


def _distance(box: np.ndarray, point: np.ndarray) -> float:
    """Below 0 inside the box (deepest at its centre), else pixels from the box's edge."""
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    beyond = np.abs(point - centre) - half
    if (beyond <= 0).all():
        return float((beyond / half).max())
    return float(np.linalg.norm(np.maximum(beyond, 0)))
