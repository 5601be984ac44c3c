"""A live session: the same frames however the sound is cut, nothing stale, nothing that hangs."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import gc
import heapq
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import TypeVar

import numpy as np
import pytest
import torch

from musetalk_core.audio.rest import closed_mouth
from musetalk_core.errors import GenerationError, MediaError, OptionError
from musetalk_core.live.frames import LiveFrame
from musetalk_core.live.pace import Counters, Player, RealClock, av_frames
from musetalk_core.live.session import LiveOptions, LiveSession, SessionError
from musetalk_core.models.load import LoadedModel
from musetalk_core.models.unet import LipNet
from musetalk_core.models.whisper import WhisperEncoder
from musetalk_core.pipeline.avatar import Avatar, FaceTools, find_faces, make_avatar
from musetalk_core.placement import SingleDevice
from musetalk_core.portraits.footage import portrait_footage
from musetalk_core.timeline import Cycle
from musetalk_core.video.read import ArrayFootage

FPS = Fraction(25)
OUT = 16_000  # samples a second that come out, so that sound can be compared with what went in
T = TypeVar("T")


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


@pytest.fixture(scope="module")
def unseen(avatar: Avatar, footage: ArrayFootage, tools: FaceTools, model: LoadedModel) -> Callable[..., LiveSession]:
    """Makes a session like `begin`'s, but of a face that shows no new mouth: all is heard, little is painted."""
    rest, hidden = closed_mouth(model.audio), without_mouth(avatar)

    def make(**options: int) -> LiveSession:
        return LiveSession(hidden, footage, model, tools, LiveOptions(**{"sound_rate": OUT, **options}), rest=rest)

    return make


def without_mouth(avatar: Avatar) -> Avatar:
    """An avatar whose new mouth has strength 0 on every frame."""
    track = dataclasses.replace(avatar.track, strength=np.zeros_like(avatar.track.strength))
    return dataclasses.replace(avatar, track=track)


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


def test_a_frame_that_is_heard_after_an_interrupt_leaves_no_trace(begin: Callable[..., LiveSession]) -> None:
    ends = []
    for late in (False, True):
        session = begin()
        session.push(buzz(1), OUT)
        shown = session.pull(2)
        stale = session.slot()
        session.interrupt(shown[-1])
        if late and stale is not None:
            session.follow(stale)
        ends.append([session.paint(session.next_slot()) for _ in range(3)])
    assert same(*ends)
    assert ends[0][0].mouth.share == ends[1][0].mouth.share


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


def sound_of(session: LiveSession) -> np.ndarray:
    """What is heard of a session from here on, without its pictures."""
    parts = []
    while (slot := session.slot()) is not None:
        parts.append(slot.sound)
    return np.concatenate(parts)


def test_the_rate_may_change(unseen: Callable[..., LiveSession]) -> None:
    session = unseen()
    sound = buzz(0.6, 48_000)
    session.push(sound[: 48_000 * 3 // 10], 48_000)
    session.push(buzz(0.6, 8000)[8000 * 3 // 10 :], 8000)
    session.flush()
    heard = sound_of(session)
    assert np.abs(heard[100:4500] - buzz(0.6)[100:4500]).max() < 1e-3
    assert np.abs(heard[5000:9000] - buzz(0.6)[5000:9000]).max() < 5e-3


@pytest.mark.parametrize("rate", [44_100, 48_000, 22_050])
def test_sound_comes_out_at_the_wanted_rate(rate: int, unseen: Callable[..., LiveSession]) -> None:
    session = unseen(sound_rate=rate)
    session.push(buzz(0.5), OUT)
    session.flush()
    heard, wanted = sound_of(session), buzz(0.5, rate)
    assert len(heard) % (rate // 25) == 0
    assert np.abs(heard[: len(wanted)] - wanted)[500:-500].max() < 1e-3


def test_five_seconds_at_once_are_whole(unseen: Callable[..., LiveSession]) -> None:
    session, sound = unseen(), buzz(5)
    session.push(sound, OUT)
    session.flush()
    heard = sound_of(session)
    assert np.array_equal(heard[: len(sound)], sound)
    assert not heard[len(sound) :].any()


@pytest.mark.parametrize("pcm", [np.zeros((2, 2, 2)), np.zeros(3, bool), np.zeros((0, 5))])
def test_what_is_no_sound_is_refused(pcm: np.ndarray, unseen: Callable[..., LiveSession]) -> None:
    with pytest.raises(MediaError):
        unseen().push(pcm, OUT)


def test_odd_rates_options_and_a_closed_session_are_refused(unseen: Callable[..., LiveSession]) -> None:
    session = unseen()
    with pytest.raises(MediaError, match="0 samples"):
        session.push(np.zeros(1), 0)
    with pytest.raises(OptionError, match="look_ahead"):
        unseen(look_ahead=501)
    session.close()
    with pytest.raises(SessionError):
        session.push(np.zeros(1), OUT)
    with pytest.raises(SessionError):
        session.pull()


def test_more_look_ahead_waits_longer(unseen: Callable[..., LiveSession]) -> None:
    for look_ahead, frames in ((0, 12), (80, 10), (500, 0)):
        session = unseen(look_ahead=look_ahead, cushion=0)
        session.push(buzz(0.6), OUT)
        count = 0
        while session.slot() is not None:
            count += 1
        # Frame i needs the sound up to 40 i + 120 ms, and what Whisper's spectrum adds.
        assert count == frames


class VirtualClock:
    """Time that passes when everybody sleeps; the n-th work takes `cost(n)` seconds."""

    def __init__(self, cost: Callable[[int], float] = lambda call: 0.005) -> None:
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
        settled = 0
        while settled < 5:  # whoever can still run goes first
            await asyncio.sleep(0)
            settled = settled + 1 if self._sleeping[0] == entry else 0
        heapq.heappop(self._sleeping)
        self._now = max(self._now, moment)

    async def run(self, work: Callable[[], T]) -> T:
        result = work()
        await self.sleep_until(self._now + self._cost(next(self._calls)))
        return result


def play(
    session: LiveSession,
    clock: VirtualClock,
    count: int,
    feed: Callable[[int, Player], None] = lambda number, player: None,
    workers: int = 2,
) -> tuple[list[LiveFrame], list[float], Counters]:
    """Take `count` frames; `feed` is called after each."""

    async def watch() -> tuple[list[LiveFrame], list[float], Counters]:
        player, frames, times = Player(session, clock, workers), [], []
        async for frame in player:
            frames.append(frame)
            times.append(clock.now())
            feed(frame.number, player)
            if len(frames) == count:
                break
        counters = player.counters
        await player.close()
        return frames, times, counters

    return asyncio.run(watch())


@pytest.fixture(params=[1, 2])
def workers(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


def test_the_clock_holds_and_sound_is_whole(workers: int, unseen: Callable[..., LiveSession]) -> None:
    """Chunks of one frame, as a microphone gives them: every sample comes out once, and in time."""
    session, sound = unseen(), buzz(0.4)

    def feed(number: int, player: Player) -> None:
        if number < 10:
            session.push(sound[number * 640 : (number + 1) * 640], OUT)

    frames, times, counters = play(session, VirtualClock(), 20, feed, workers)
    assert np.allclose(np.diff(times), 0.04)
    assert counters == Counters(shown=20)
    heard = np.concatenate([frame.sound for frame in frames])
    first = int(np.flatnonzero(heard)[0]) // 640 * 640
    assert first <= (7 + workers) * 640  # 40 ms of its own, 120 of the window, 80 of look-ahead, 40 of cushion
    assert np.array_equal(heard[first : first + len(sound)], sound)
    assert not heard[first + len(sound) :].any()


def test_any_number_of_workers_gives_the_same_frames(begin: Callable[..., LiveSession]) -> None:
    """Also while a later picture is ready before an earlier one."""
    costs = np.random.default_rng(2).uniform(0.001, 0.015, 1000)
    shown = []
    for workers in (1, 2, 3):
        session = begin()
        session.push(buzz(0.3), OUT)
        session.flush()
        frames, _, counters = play(session, VirtualClock(lambda call: float(costs[call])), 14, workers=workers)
        assert counters == Counters(shown=14)
        shown.append(frames)
    assert same(shown[0], shown[1])
    assert same(shown[0], shown[2])


def test_a_slow_machine_drops_pictures_and_never_sound(
    workers: int, unseen: Callable[..., LiveSession], model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, sound = unseen(), buzz(0.5)
    session.push(sound, OUT)
    hear, heard_at = model.audio.hear, []
    monkeypatch.setattr(model.audio, "hear", lambda *args: heard_at.append(args[1]) or hear(*args))
    frames, times, counters = play(session, VirtualClock(lambda call: 0.05 + 0.05 * workers), 30, workers=workers)
    assert np.allclose(np.diff(times), 0.04)
    heard = np.concatenate([frame.sound for frame in frames])
    assert np.array_equal(heard[: len(sound)], sound)
    assert counters.shown == 30
    assert counters.repeated + counters.late >= 15
    assert counters.dropped >= 10
    pictures = len({frame.mouth.number for frame in frames})
    assert pictures >= 6  # it still moves
    assert pictures - 6 <= len(heard_at) <= pictures + 2 * workers + 1  # the encoder runs for what is drawn alone


def test_pictures_that_come_late_get_more_time_from_the_next_silence_on(unseen: Callable[..., LiveSession]) -> None:
    """A picture takes two and a half frames: too long for a lead of two, not for two workers and a lead of more."""
    session, sound = unseen(), buzz(1.5)
    for _ in range(3):
        session.push(np.concatenate([sound, np.zeros(OUT, np.float32)]), OUT)
    frames, times, _ = play(session, VirtualClock(lambda call: 0.05), 180)
    gaps = np.round(np.diff(times) / 0.04).astype(int)
    assert set(gaps) == {1, 2}
    assert 1 <= (gaps == 2).sum() <= 3
    assert not any(frames[k + 1].sound.any() for k in np.flatnonzero(gaps == 2))  # time is taken where nobody speaks
    late = np.array([frame.mouth.number < frame.number for frame in frames])
    moved = np.flatnonzero(gaps == 2)[-1] + 3
    speaking = np.array([frame.mouth.share == 1 for frame in frames])
    assert late[:moved][speaking[:moved]].mean() > 0.5
    assert late[moved:][speaking[moved:]].mean() < 0.3


@pytest.mark.parametrize("seed", range(3))
def test_counters_tell_the_truth(seed: int, workers: int, unseen: Callable[..., LiveSession]) -> None:
    """What the frames show, whatever the pictures take; a picture's own number is its mouth's."""
    random = np.random.default_rng(seed)
    costs = random.uniform(0, random.choice([0.02, 0.06, 0.2]), 1000)
    frames, times, counters = play(unseen(), VirtualClock(lambda call: float(costs[call])), 80, workers=workers)
    pictures = [frame.mouth.number for frame in frames]
    slots = [frame.number for frame in frames]
    steps = np.diff(pictures)
    assert np.allclose(np.diff(times), 0.04)
    assert (steps >= 0).all()  # never back in time, nor before its time
    assert all(picture <= slot for picture, slot in zip(pictures, slots, strict=True))
    new = [True, *(steps > 0)]
    assert counters.repeated == new.count(False)
    assert counters.late == sum(n and p < s for n, p, s in zip(new, pictures, slots, strict=True))
    missing = len(set(range(pictures[-1])) - set(pictures))
    assert missing <= counters.dropped <= missing + slots[-1] - pictures[-1]


def test_a_stall_is_silence_and_then_goes_on(unseen: Callable[..., LiveSession]) -> None:
    session, sound = unseen(), buzz(0.4)

    def feed(number: int, player: Player) -> None:
        if number in (0, 135):  # 5 s after the end of the first
            session.push(sound, OUT)

    frames, _, _ = play(session, VirtualClock(), 160, feed)
    heard = np.concatenate([frame.sound for frame in frames])
    loud = np.flatnonzero(heard)
    second = int(loud[loud > 40 * 640][0])
    assert np.array_equal(heard[int(loud[0]) - 1 :][: len(sound)], sound)
    assert np.array_equal(heard[second - 1 :][: len(sound)], sound)
    assert frames[80].mouth.share == 0
    assert max(np.abs(np.diff([frame.mouth.share for frame in frames]))) < 0.35


def test_barge_in_while_playing(workers: int, unseen: Callable[..., LiveSession]) -> None:
    """And speech after it: of what was forgotten no sound and no picture comes back."""
    session, word = unseen(), buzz(0.2) / 2
    session.push(buzz(5), OUT)  # five seconds at once

    def feed(number: int, player: Player) -> None:
        if number == 8:
            player.interrupt()
        if number == 30:
            session.push(word, OUT)
            session.flush()

    frames, times, _ = play(session, VirtualClock(), 45, feed, workers)
    assert [frame.number for frame in frames] == list(range(45))
    assert np.allclose(np.diff(times), 0.04)
    assert all(frame.sound.any() for frame in frames[:9])
    assert not any(frame.sound.any() for frame in frames[9:31])
    assert frames[30].mouth.share == 0
    heard = np.concatenate([frame.sound for frame in frames[31:]])
    first = int(np.flatnonzero(heard)[0]) - 1  # a sine's first sample is 0
    assert np.array_equal(heard[first : first + len(word)], word)
    assert not heard[first + len(word) :].any()
    fresh = [frame for frame in frames[9:] if frame.mouth.number > 8]
    assert {frame.number - frame.mouth.number for frame in fresh} == {0}
    assert len(fresh) >= len(frames[9:]) - workers


def test_an_interrupt_before_the_first_frame(workers: int, unseen: Callable[..., LiveSession]) -> None:
    session = unseen()

    class Impatient(VirtualClock):
        async def run(self, work: Callable[[], T]) -> T:
            result = await super().run(work)
            if session.slot() is not None:  # the first picture is being made
                player.interrupt()
            return result

    async def watch() -> list[LiveFrame]:
        frames = []
        async for frame in player:
            frames.append(frame)
            if len(frames) == 5:
                break
        await player.close()
        return frames

    session.push(buzz(1), OUT)
    player = Player(session, Impatient(), workers)
    frames = asyncio.run(watch())
    assert not any(frame.sound.any() for frame in frames)
    assert {frame.mouth.share for frame in frames} == {0}


def test_workers_have_a_core_each_and_others_keep_theirs() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)

    async def ask() -> list[int]:
        together = threading.Barrier(2)
        return list(await asyncio.gather(*(clock.run(lambda: together.wait() * 0 + torch.get_num_threads())
                                           for _ in range(2))))  # fmt: skip

    try:
        clock = RealClock(2)
        assert asyncio.run(ask()) == [1, 1]
        assert torch.get_num_threads() == 2
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == 2
        clock.close()
    finally:
        torch.set_num_threads(before)


def test_pictures_are_drawn_at_once_as_one_by_one(begin: Callable[..., LiveSession]) -> None:
    session, clock = begin(), RealClock(2)
    session.push(buzz(0.4), OUT)
    slots = list(iter(session.slot, None))
    mouths = [session.follow(slot) for slot in slots]

    async def draw(together: int) -> list[LiveFrame]:
        pairs = list(zip(slots, mouths, strict=True))
        frames: list[LiveFrame] = []
        for at in range(0, len(pairs), together):
            works = [clock.run(lambda s=s, m=m: session.draw(s, m)) for s, m in pairs[at : at + together]]
            frames += await asyncio.gather(*works)
        return frames

    assert len(slots) >= 4
    assert same(asyncio.run(draw(1)), asyncio.run(draw(len(slots))))
    clock.close()


def test_by_the_machines_clock_and_its_threads_end(begin: Callable[..., LiveSession]) -> None:
    session = begin()
    session.push(buzz(0.3), OUT)

    async def watch() -> list[LiveFrame]:
        player, frames = Player(session, workers=2), []
        async for frame in player:
            frames.append(frame)
            if len(frames) == 12:
                session.close()
        return frames

    frames = asyncio.run(watch())
    assert [frame.number for frame in frames] == list(range(12))
    assert np.array_equal(np.concatenate([frame.sound for frame in frames])[: len(buzz(0.3))], buzz(0.3))
    for thread in threading.enumerate():
        if thread.name.startswith("musetalk-live"):
            thread.join(5)
            assert not thread.is_alive()


def test_a_short_word_is_not_kept_waiting(unseen: Callable[..., LiveSession]) -> None:
    session = unseen()
    session.push(buzz(0.05), OUT)
    frames, _, _ = play(session, VirtualClock(), 20)
    assert np.count_nonzero(np.concatenate([frame.sound for frame in frames])) > 700


def test_frames_for_agent_frameworks(unseen: Callable[..., LiveSession]) -> None:
    session = unseen(sound_rate=48_000)

    async def watch() -> list[tuple[int, Fraction, int, int]]:
        player, seen = Player(session, VirtualClock()), []
        async for picture, sound in av_frames(player):
            seen.append((picture.pts, picture.time_base, sound.pts, sound.samples))
            if len(seen) == 3:
                break
        await player.close()
        return seen

    assert asyncio.run(watch()) == [(i, Fraction(1, 25), 1920 * i, 1920) for i in range(3)]


def test_a_network_that_fails_ends_the_player(
    begin: Callable[..., LiveSession], model: LoadedModel, avatar: Avatar, footage: ArrayFootage, tools: FaceTools
) -> None:
    lips = LipNet(copy.deepcopy(model.lips.network), model.recipe, SingleDevice("cpu", "fp32"))
    session = LiveSession(avatar, footage, dataclasses.replace(model, lips=lips), tools)
    with torch.no_grad():
        next(lips.network.parameters()).fill_(float("nan"))
    session.push(buzz(1), OUT)
    with pytest.raises(GenerationError, match="NaN"):
        session.pull()
    session.interrupt()
    frames, _, _ = play(begin(), VirtualClock(), 5)  # other sessions of the same model go on
    assert len(frames) == 5
    session.push(buzz(1), OUT)
    with pytest.raises(GenerationError, match="NaN"):
        play(session, VirtualClock(), 20)


@pytest.mark.slow
def test_an_hour_by_the_clock(model: LoadedModel, avatar: Avatar, footage: ArrayFootage, tools: FaceTools) -> None:
    """5 frames a second, a small Whisper, nothing to draw; sound that repeats every 20 s, as the encoder's pieces."""
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder as Network

    psutil = pytest.importorskip("psutil")
    torch.manual_seed(0)
    config = WhisperConfig(d_model=8, encoder_layers=4, encoder_attention_heads=2, encoder_ffn_dim=8, num_mel_bins=80)
    audio = WhisperEncoder(Network(config), "whisper-tiny.en", SingleDevice("cpu", "fp32"))
    fps, hour, period = Fraction(5), 3600, 20
    session = LiveSession(
        without_mouth(avatar), ArrayFootage(footage.read(range(5)), fps),
        dataclasses.replace(model, audio=audio), tools, LiveOptions(sound_rate=OUT),
    )  # fmt: skip
    loud = np.random.default_rng(3).standard_normal(period * OUT).astype(np.float32) * 0.1
    process, clock = psutil.Process(), VirtualClock()
    memory, seen = [], []

    async def watch() -> Counters:
        player = Player(session, clock, 2)
        session.push(loud[: 2 * OUT], OUT)
        start = None
        async for frame in player:
            start = clock.now() if start is None else start
            assert frame.time == frame.number / fps
            assert abs(clock.now() - start - float(frame.time)) < 1e-6
            at = frame.number % (period * 5) * OUT // 5
            assert np.array_equal(frame.sound, loud[at : at + OUT // 5])
            if frame.number % 5 == 0:
                at = (frame.number // 5 + 2) % period * OUT
                session.push(loud[at : at + OUT], OUT)
            if frame.number % (period * 5) == 70:  # once in every piece
                seen.append(frame.mouth.tokens)
                gc.collect()
                memory.append(process.memory_info().rss)
            if frame.number == hour * 5 - 1:
                break
        await player.close()
        return player.counters

    begun = time.process_time()
    assert asyncio.run(watch()) == Counters(shown=hour * 5)
    more = (memory[-1] - memory[30]) / 1e6
    differ = max(float((one - seen[1]).abs().max()) for one in seen[1:])
    took = time.process_time() - begun
    sys.stdout.write(f"processor {took:.0f} s, {more:.2f} MB more after 60 than after 10 minutes, "
                     f"{len(seen) - 2} pieces later features differ by {differ:g}")  # fmt: skip
    assert all(torch.equal(one, seen[1]) for one in seen[1:])
    assert more < 2
