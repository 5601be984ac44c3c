"""Whose face it is, over crossings, gaps and cuts; and who is chosen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musetalk_core.errors import FaceError
from musetalk_core.face.find import Sighting
from musetalk_core.face.people import Linker, Passage, Person, gather_people
from musetalk_core.face.select import select_people

FPS = 25.0
LOOKS = np.linalg.qr(np.random.default_rng(0).normal(size=(40, 4)))[0].T.astype(np.float32)  # four unlike people
POINTS = np.zeros((68, 2), np.float32)


def sighting(who: int, x: float, y: float = 100.0, size: float = 80.0, noise: int = 0) -> Sighting:
    look = LOOKS[who] + 0.03 * np.random.default_rng(noise).normal(size=40).astype(np.float32)
    box = np.array([x, y, x + size, y + size], np.float32)
    return Sighting(POINTS + x, box, 0.0, (look / np.linalg.norm(look)).astype(np.float32))


def people_of(frames: list[list[Sighting]], cuts: tuple[int, ...] = ()) -> list[Person]:
    linker = Linker()
    for index, faces in enumerate(frames):
        linker.add(index, faces, index in cuts)
    return gather_people(linker.passages, FPS, 0.86)


def places(person: Person) -> dict[int, float]:
    return {p.start + i: float(points[0, 0]) for p in person.passages for i, points in enumerate(p.points)}


def test_never_14_people_who_cross_keep_their_identity() -> None:
    """Two people walk through each other; the hidden one is not seen for a while and comes back elsewhere."""
    frames = []
    for i in range(60):
        left, right = 6.0 * i, 354.0 - 6.0 * i
        hidden = abs(left - right) < 70
        faces = [sighting(0, left, noise=i)] + ([] if hidden else [sighting(1, right, noise=100 + i)])
        frames.append(faces if i % 2 else faces[::-1])
    first, second = sorted(people_of(frames), key=lambda person: -person.frames)
    assert len(people_of(frames)) == 2
    assert all(x == 6.0 * i for i, x in places(first).items())
    assert all(x == 354.0 - 6.0 * i for i, x in places(second).items())
    assert first.frames == 60


def test_the_same_person_is_found_again_after_a_cut_and_another_is_not() -> None:
    frames = [[sighting(0, 100, noise=i)] for i in range(20)]
    frames += [[sighting(1, 100, noise=i)] for i in range(20)]
    frames += [[sighting(0, 400, size=150, noise=i)] for i in range(20)]
    people = people_of(frames, cuts=(20, 40))
    assert [sorted(places(person)) for person in people] == [[*range(20), *range(40, 60)], [*range(20, 40)]]


def test_a_cut_that_was_missed_does_not_join_two_people() -> None:
    frames = [[sighting(0, 100, noise=i)] for i in range(20)] + [[sighting(1, 100, noise=i)] for i in range(20)]
    assert [person.frames for person in people_of(frames)] == [20, 20]


def test_a_gap_is_bridged_and_a_glimpse_left_out() -> None:
    frames = [[sighting(0, 100, noise=i)] for i in range(20)] + [[]] * 10
    frames += [[sighting(2, 100)]] + [[]] * 5 + [[sighting(0, 110, noise=i)] for i in range(20)]
    (person,) = people_of(frames)
    assert person.frames == 40
    assert person.seen(56).sum() == 40


def test_a_clip_of_one_frame_has_its_people() -> None:
    assert len(people_of([[sighting(0, 0), sighting(1, 200)]])) == 2


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), max_size=4, unique=True), min_size=1, max_size=30), st.randoms())
def test_nobody_is_in_two_places_at_once_and_no_sighting_is_used_twice(frames: list[list[int]], random) -> None:
    seen = []
    for index, faces in enumerate(frames):
        order = [sighting(who, 100 * who + random.uniform(0, 300), noise=index) for who in faces]
        random.shuffle(order)
        seen.append(order)
    people = people_of(seen)
    for person in people:
        stops = [0, *(passage.stop for passage in person.passages)]
        assert all(passage.start >= stop for passage, stop in zip(person.passages, stops, strict=False))
    assert sum(person.frames for person in people) <= sum(len(faces) for faces in frames)


def person(x: float, size: float = 80.0, frames: int = 5) -> Person:
    passage = Passage(0, 0)
    for _ in range(frames):
        passage.append(sighting(0, x, size=size))
    return Person([passage])


def test_selection() -> None:
    left, middle, right = person(0), person(300, size=60, frames=50), person(500, size=100)
    everybody = [right, left, middle]

    def chosen(selection: str, index: int = 0, point: tuple[float, float] = (0, 0)) -> list[Person]:
        return select_people(everybody, selection, index, point)  # type: ignore[arg-type]

    assert chosen("largest") == [middle]
    assert chosen("all") == [left, middle, right]
    assert [chosen("index", i)[0] for i in range(3)] == [left, middle, right]
    assert chosen("point", point=(590, 110)) == [right]
    assert chosen("point", point=(200, 110)) == [middle]  # in nobody's box, nearest to its edge
    assert chosen("point", point=(-50, 900)) == [left]
    with pytest.raises(FaceError, match="no face number 3"):
        chosen("index", 3)
