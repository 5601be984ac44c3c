"""A live session: the same frames however the sound is cut, nothing stale, nothing that hangs."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from musetalk_core.audio.rest import closed_mouth
from musetalk_core.errors import MediaError, OptionError
from musetalk_core.live.frames import LiveFrame
from musetalk_core.live.pace import Player, av_frames
from musetalk_core.live.session import LiveOptions, LiveSession, SessionError
from musetalk_core.models.load import LoadedModel, load_model
from musetalk_core.models.registry import FolderLocator
from musetalk_core.pipeline.avatar import Avatar, FaceTools, find_faces, make_avatar
from musetalk_core.placement import SingleDevice
from musetalk_core.portraits.footage import portrait_footage
from musetalk_core.timeline import Cycle
from musetalk_core.video.read import ArrayFootage

FPS = Fraction(25)
OUT = 16_000  # samples a second that come out, so that sound can be compared with what went in
T = TypeVar("T")


@pytest.fixture(scope="module")
def model(nano_folder: Path) -> LoadedModel:
    return load_model(str(nano_folder), FolderLocator(None), SingleDevice("cpu", "fp32"))


@pytest.fixture(scope="module")
def footage() -> ArrayFootage:
    return ArrayFootage(portrait_footage(3, 0.2, width=256, height=256).read(range(5)), FPS)


@pytest.fixture(scope="module")
def tools(model: LoadedModel) -> FaceTools:
    return FaceTools(model.vae, model.recipe)


@pytest.fixture(scope="module")
def avatar(footage: ArrayFootage, tools: FaceTools) -> Avatar:
    return make_avatar(footage, find_faces(footage, tools)[0], tools)


@pytest.fixture(scope="module")
def begin(avatar: Avatar, footage: ArrayFootage, tools: FaceTools, model: LoadedModel) -> Callable[..., LiveSession]:
    """Makes a session; options by name."""
    rest = closed_mouth(model.audio)

    def make(**options: int) -> LiveSession:
        return LiveSession(avatar, footage, model, tools, LiveOptions(**{"sound_rate": OUT, **options}), rest=rest)

    return make


def buzz(seconds: float, rate: int = OUT) -> np.ndarray:
    """A loud voice, as far as the energy gate can tell."""
    time = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * 150 * time) * (1 + 0.5 * np.sin(2 * np.pi * 4 * time))).astype(np.float32)


def cut(sound: np.ndarray, sizes: Iterator[int]) -> Iterator[np.ndarray]:
    at = 0
    while at < len(sound):
        size = next(sizes)
        yield sound[at : at + size]
        at += size


def speak(session: LiveSession, sound: np.ndarray, rate: int, sizes: Iterator[int]) -> list[LiveFrame]:
    """Push in chunks, pull what is ready after each."""
    frames = []
    for chunk in cut(sound, sizes):
        session.push(chunk, rate)
        frames += session.pull()
    session.flush()
    return frames + session.pull()


def same(one: list[LiveFrame], other: list[LiveFrame]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(np.array_equal(a.picture, b.picture) and np.array_equal(a.sound, b.sound) for a, b in pairs)


@pytest.fixture(scope="module", params=[16_000, 44_100])
def spoken(request: pytest.FixtureRequest, begin: Callable[..., LiveSession]) -> tuple[int, list[LiveFrame]]:
    """The rate, and the frames of half a second pushed at once."""
    return request.param, speak(begin(), buzz(0.5, request.param), request.param, itertools.repeat(10**9))


@pytest.mark.parametrize("milliseconds", [10, 20, 33, 200, 0])
def test_chunks_change_nothing(
    milliseconds: int, spoken: tuple[int, list[LiveFrame]], begin: Callable[..., LiveSession]
) -> None:
    rate, wanted = spoken
    random = np.random.default_rng(1)
    sizes = (
        itertools.repeat(rate * milliseconds // 1000)
        if milliseconds
        else (int(random.integers(1, rate // 10)) for _ in itertools.count())
    )
    frames = speak(begin(), buzz(0.5, rate), rate, sizes)
    assert same(frames, wanted)


def test_sound_comes_out_as_it_went_in_with_exact_times(spoken: tuple[int, list[LiveFrame]]) -> None:
    rate, frames = spoken
    assert [frame.number for frame in frames] == list(range(len(frames)))
    assert [frame.time for frame in frames] == [frame.number / FPS for frame in frames]
    assert {len(frame.sound) for frame in frames} == {OUT // 25}
    heard = np.concatenate([frame.sound for frame in frames])
    assert len(heard) >= 0.5 * OUT
    wanted = buzz(0.5)
    inside = slice(200, len(wanted) - 200)  # beside the ends a resampled sound rings
    tolerance = 0 if rate == OUT else 1e-3
    assert np.abs(heard[: len(wanted)] - wanted)[inside].max() <= tolerance
    assert np.abs(heard[len(wanted) + 200 :]).max(initial=0) <= tolerance


def test_the_mouth_moves_and_only_it(
    spoken: tuple[int, list[LiveFrame]], avatar: Avatar, footage: ArrayFootage
) -> None:
    cycle = Cycle(footage.clock)
    shares = [frame.mouth.share for frame in spoken[1]]
    assert 0 < shares[0] < 0.5
    assert max(shares) == 1
    assert max(np.abs(np.diff([0, *shares]))) < 0.35  # no jump
    for frame in spoken[1]:
        source = cycle.at((frame.number + Fraction(1, 2)) / FPS)
        changed = (frame.picture != footage.read([source])[0]).any(axis=2)
        mask = avatar.parts[source].mask
        rows, columns = np.nonzero(changed)
        assert changed.any() == (frame.mouth.share > 0)
        assert (rows >= mask.y).all()
        assert (rows < mask.y + mask.alpha.shape[0]).all()
        assert (columns >= mask.x).all()
        assert (columns < mask.x + mask.alpha.shape[1]).all()


def test_an_interrupt_leaves_nothing_behind(begin: Callable[..., LiveSession]) -> None:
    session, fresh = begin(), begin()
    session.push(buzz(2), OUT)
    shown = session.pull(10)
    session.pull(5)  # made, but never shown
    session.interrupt(shown[-1])
    after = [session.paint(session.next_slot()) for _ in range(30)]
    assert [frame.number for frame in after] == list(range(10, 40))
    assert not any(frame.sound.any() for frame in after)
    assert max(np.abs(np.diff([frame.mouth.share for frame in [shown[-1], *after]]))) < 0.35
    assert after[-1].mouth.share == 0
    for _ in range(40):
        fresh.paint(fresh.next_slot())
    for one in (session, fresh):
        one.push(buzz(0.4), OUT)
        one.flush()
    assert same(session.pull(), fresh.pull())


def test_an_interrupt_at_once_begins_again(begin: Callable[..., LiveSession]) -> None:
    session = begin()
    session.push(buzz(1), OUT)
    session.interrupt()
    assert session.pull() == []
    session.push(buzz(0.4), OUT)
    session.flush()
    assert session.pull()[0].number == 0


def test_nobody_speaks(begin: Callable[..., LiveSession], footage: ArrayFootage) -> None:
    session, cycle = begin(), Cycle(footage.clock)
    idle = [session.paint(session.next_slot()) for _ in range(4)]
    frames = speak(session, np.zeros(OUT // 2, np.float32), OUT, itertools.repeat(160))
    for frame in idle + frames:
        source = cycle.at((frame.number + Fraction(1, 2)) / FPS)
        assert np.array_equal(frame.picture, footage.read([source])[0])
        assert not frame.sound.any()


def test_bad_samples_become_silence(begin: Callable[..., LiveSession]) -> None:
    sound = buzz(0.4)
    mended = sound.copy()
    sound[1000:1100], sound[2000], mended[1000:1100], mended[2000] = np.nan, np.inf, 0, 0
    frames = [speak(begin(), one, OUT, itertools.repeat(500)) for one in (sound, mended)]
    assert same(*frames)


def test_clipped_and_integer_sound(begin: Callable[..., LiveSession]) -> None:
    loud = np.clip(buzz(0.4) * 20, -1, 1)
    frames = [speak(begin(), one, OUT, itertools.repeat(500)) for one in (buzz(0.4) * 20, loud)]
    assert same(*frames)
    whole = speak(begin(), np.rint(buzz(0.4) * 32767).astype(np.int16), OUT, itertools.repeat(500))
    heard = np.concatenate([frame.sound for frame in whole])[: len(loud)]
    assert np.abs(heard - buzz(0.4)).max() < 1e-4


@pytest.mark.slow
def test_the_rate_may_change(begin: Callable[..., LiveSession]) -> None:
    session = begin()
    sound = buzz(0.6, 48_000)
    session.push(sound[: 48_000 * 3 // 10], 48_000)
    session.push(buzz(0.6, 8000)[8000 * 3 // 10 :], 8000)
    session.flush()
    heard = np.concatenate([frame.sound for frame in session.pull()])
    assert np.abs(heard[100:4500] - buzz(0.6)[100:4500]).max() < 1e-3
    assert np.abs(heard[5000:9000] - buzz(0.6)[5000:9000]).max() < 5e-3


@pytest.mark.parametrize("pcm", [np.zeros((2, 2, 2)), np.zeros(3, bool), np.zeros((0, 5))])
def test_what_is_no_sound_is_refused(pcm: np.ndarray, begin: Callable[..., LiveSession]) -> None:
    with pytest.raises(MediaError):
        begin().push(pcm, OUT)


def test_odd_rates_options_and_a_closed_session_are_refused(begin: Callable[..., LiveSession]) -> None:
    session = begin()
    with pytest.raises(MediaError, match="0 samples"):
        session.push(np.zeros(1), 0)
    with pytest.raises(OptionError, match="look_ahead"):
        begin(look_ahead=501)
    session.close()
    with pytest.raises(SessionError):
        session.push(np.zeros(1), OUT)
    with pytest.raises(SessionError):
        session.pull()


def test_more_look_ahead_waits_longer(begin: Callable[..., LiveSession]) -> None:
    for look_ahead, frames in ((0, 12), (80, 10), (500, 0)):
        session = begin(look_ahead=look_ahead, cushion=0)
        session.push(buzz(0.6), OUT)
        count = 0
        while session.slot() is not None:
            count += 1
        # Frame i needs the sound up to 40 i + 120 ms, and what Whisper's spectrum adds.
        assert count == frames


class VirtualClock:
    """Time that passes when everybody sleeps; painting takes `cost(frame number of the call)` seconds."""

    def __init__(self, cost: Callable[[int], float] = lambda call: 0.01) -> None:
        self._now = 0.0
        self._cost = cost
        self._calls = itertools.count()
        self._sleeping: list[tuple[float, int]] = []
        self._ids = itertools.count()

    def now(self) -> float:
        return self._now

    async def sleep_until(self, moment: float) -> None:
        entry = (max(moment, self._now), next(self._ids))
        heapq.heappush(self._sleeping, entry)
        for _ in range(5):  # whoever can still run goes first
            await asyncio.sleep(0)
        while self._sleeping[0] != entry:
            await asyncio.sleep(0)
        heapq.heappop(self._sleeping)
        self._now = max(self._now, moment)

    async def run(self, work: Callable[[], T]) -> T:
        result = work()
        await self.sleep_until(self._now + self._cost(next(self._calls)))
        return result


def play(
    session: LiveSession, clock: VirtualClock, count: int, feed: Callable[[int, Player], None]
) -> tuple[list[LiveFrame], list[float], Player]:
    """Take `count` frames; `feed` is called after each."""

    async def watch() -> tuple[list[LiveFrame], list[float], Player]:
        player, frames, times = Player(session, clock), [], []
        async for frame in player:
            frames.append(frame)
            times.append(clock.now())
            feed(frame.number, player)
            if len(frames) == count:
                break
        await player.close()
        return frames, times, player

    return asyncio.run(watch())


def test_the_clock_holds_and_sound_is_whole(begin: Callable[..., LiveSession]) -> None:
    """Chunks of one frame, as a microphone gives them: every sample comes out once, 160 + 60 ms later."""
    session, sound = begin(), buzz(1)

    def feed(number: int, player: Player) -> None:
        if number < 25:
            session.push(sound[number * 640 : (number + 1) * 640], OUT)

    frames, times, player = play(session, VirtualClock(), 40, feed)
    assert np.allclose(np.diff(times), 0.04)
    assert player.counters.late == player.counters.dropped == player.counters.repeated == 0
    heard = np.concatenate([frame.sound for frame in frames])
    first = int(np.flatnonzero(heard)[0]) // 640 * 640
    assert first <= 7 * 640
    assert np.array_equal(heard[first : first + len(sound)], sound)
    assert not heard[first + len(sound) :].any()


def test_a_slow_machine_drops_pictures_and_never_sound(begin: Callable[..., LiveSession]) -> None:
    session, sound = begin(), buzz(1)
    session.push(sound, OUT)
    frames, times, player = play(
        session, VirtualClock(lambda call: 0.1 if call else 0.0), 40, lambda number, player: None
    )
    assert np.allclose(np.diff(times), 0.04)
    heard = np.concatenate([frame.sound for frame in frames])
    assert np.array_equal(heard[: len(sound)], sound)
    counters = player.counters
    assert counters.shown == 40
    assert counters.repeated + counters.late >= 20
    assert counters.dropped >= 15
    assert len({id(frame.picture) for frame in frames}) >= 10  # it still moves


def test_a_stall_is_silence_and_then_goes_on(begin: Callable[..., LiveSession]) -> None:
    session, sound = begin(), buzz(0.4)

    def feed(number: int, player: Player) -> None:
        if number in (0, 100):
            session.push(sound, OUT)

    frames, _, _ = play(session, VirtualClock(), 125, feed)
    heard = np.concatenate([frame.sound for frame in frames])
    loud = np.flatnonzero(heard)
    second = int(loud[loud > 40 * 640][0])
    assert np.array_equal(heard[int(loud[0]) - 1 :][: len(sound)], sound)
    assert np.array_equal(heard[second - 1 :][: len(sound)], sound)
    assert frames[80].mouth.share == 0
    assert max(np.abs(np.diff([frame.mouth.share for frame in frames]))) < 0.35


def test_barge_in_while_playing(begin: Callable[..., LiveSession]) -> None:
    session = begin()
    session.push(buzz(5), OUT)  # five seconds at once

    def feed(number: int, player: Player) -> None:
        if number == 12:
            player.interrupt()

    frames, times, _ = play(session, VirtualClock(), 40, feed)
    assert [frame.number for frame in frames] == list(range(40))
    assert np.allclose(np.diff(times), 0.04)
    assert all(frame.sound.any() for frame in frames[:13])
    assert not any(frame.sound.any() for frame in frames[13:])
    assert frames[-1].mouth.share == 0


def test_a_short_word_is_not_kept_waiting(begin: Callable[..., LiveSession]) -> None:
    session = begin()
    session.push(buzz(0.05), OUT)
    frames, _, _ = play(session, VirtualClock(), 20, lambda number, player: None)
    assert np.count_nonzero(np.concatenate([frame.sound for frame in frames])) > 700


def test_frames_for_agent_frameworks(begin: Callable[..., LiveSession]) -> None:
    session = begin(sound_rate=48_000)

    async def watch() -> list[tuple[int, Fraction, int, int]]:
        player, seen = Player(session, VirtualClock()), []
        async for picture, sound in av_frames(player):
            seen.append((picture.pts, picture.time_base, sound.pts, sound.samples))
            if len(seen) == 3:
                break
        await player.close()
        return seen

    assert asyncio.run(watch()) == [(i, Fraction(1, 25), 1920 * i, 1920) for i in range(3)]


def test_a_painter_that_fails_ends_the_player(
    begin: Callable[..., LiveSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = begin()
    calls = itertools.count()
    paint = session.paint

    def fail(slot: object) -> LiveFrame:
        if next(calls) == 2:
            raise MediaError("broken")
        return paint(slot)  # type: ignore[arg-type]

    monkeypatch.setattr(session, "paint", fail)
    with pytest.raises(MediaError, match="broken"):
        play(session, VirtualClock(), 20, lambda number, player: None)
