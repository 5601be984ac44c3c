"""Shows a session's frames by a clock: sound always in time, pictures as the machine can."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from .frames import LiveFrame, Slot
from .mouth import Mouth
from .session import LiveSession

if TYPE_CHECKING:
    import av

T = TypeVar("T")
MOST_LEAD = 10  # frames
JUDGED = 50  # speaking pictures by which a machine is judged
LATE_SHARE = 0.2  # of them may be late


class PaceClock(Protocol):
    """Time as a player lives in it; tests put a virtual one in its place."""

    def now(self) -> float:
        """Seconds since some moment."""

    async def sleep_until(self, moment: float) -> None:
        """Return at `moment`, or at once when it has passed."""

    async def run(self, work: Callable[[], T]) -> T:
        """Do something long beside the event loop."""


class RealClock:
    """The machine's own time; long work runs in threads of its own.

    Args:
        workers: how many threads. When they are several, each computes with one core: measured with nano on two cores,
            a network shared out between them waits longer for its parts than it computes. No other thread's count
            changes, nor what threads made later begin with.
    """

    def __init__(self, workers: int = 1) -> None:
        if workers == 1:
            self._pool = ThreadPoolExecutor(1, "musetalk-live")
            return
        import torch

        ready = threading.Barrier(workers + 1)

        def take_one_core() -> None:
            torch.set_num_threads(1)
            torch.get_num_threads()  # torch asks for its global count once in every thread: from here on this one keeps
            ready.wait()

        self._pool = ThreadPoolExecutor(workers, "musetalk-live", take_one_core)
        for _ in range(workers):
            self._pool.submit(int)
        ready.wait()
        torch.set_num_threads(torch.get_num_threads())  # the global count is this thread's own again

    def now(self) -> float:
        """Seconds of the monotonic clock."""
        return time.perf_counter()

    async def sleep_until(self, moment: float) -> None:
        """See `PaceClock`."""
        await asyncio.sleep(max(0.0, moment - self.now()))

    async def run(self, work: Callable[[], T]) -> T:
        """See `PaceClock`."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Let the threads end after what they are doing."""
        self._pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class Counters:
    """What a player has shown.

    Args:
        shown: slots, each with its sound.
        late: new pictures that were shown in a later slot than their own.
        dropped: pictures that were left out: never begun, as the machine was still busy, or overtaken by a newer one.
        repeated: slots that showed the picture of the slot before.
    """

    shown: int = 0
    late: int = 0
    dropped: int = 0
    repeated: int = 0


class Player:
    """Frames of a session at their times, for ever: an async iterator.

    As many pictures are made at once as there are workers, and each is begun as many frames before its time. When one
    is not ready then, its sound comes with the newest picture there is, and pictures that the machine has no time for
    are left out; sound never is. Where many are not ready, all is shown one frame later from the next silence on, so
    that each has more time and comes with its sound.

    Args:
        session: what is shown; the player alone takes its slots.
        clock: default: the machine's, with a thread for each worker.
        workers: pictures in the making; default: `fitting_workers`.
    """

    def __init__(self, session: LiveSession, clock: PaceClock | None = None, workers: int | None = None) -> None:
        self.workers = workers or fitting_workers(session)
        self.counters = Counters()
        self.fps = session.fps
        self.sound_rate = session.options.sound_rate
        self._session = session
        self._clock: PaceClock = clock or RealClock(self.workers)
        self._own_clock = clock is None
        self._start: float | None = None
        self._lead = self.workers  # frames by which slots are cut before they are shown
        self._late: deque[bool] = deque(maxlen=JUDGED)  # whether the newest speaking pictures were
        self._ahead: deque[Slot] = deque()  # cut, and not yet shown
        self._wanted: Slot | None = None  # to be painted next
        self._hearing = asyncio.Lock()  # its waiters go in the order in which they came
        self._busy: set[asyncio.Task[LiveFrame]] = set()
        self._failure: BaseException | None = None
        self._ready: dict[int, LiveFrame] = {}  # the picture on show, and those that wait for their time, by number
        self._shown: LiveFrame | None = None
        self._epoch = 0  # interrupts so far

    def __aiter__(self) -> AsyncIterator[LiveFrame]:
        return self

    async def __anext__(self) -> LiveFrame:
        session, clock = self._session, self._clock
        if self._start is None:
            await asyncio.gather(*(clock.run(session.warm_up) for _ in range(self.workers)))
        while True:
            if session.closed:
                await self.close()
                raise StopAsyncIteration
            while len(self._ahead) < self._lead:
                self._ahead.append(session.next_slot())
                self._request(self._ahead[-1])
            epoch, slot = self._epoch, self._ahead.popleft()
            if self._start is None:
                self._ready[-1] = session.draw(slot, Mouth())  # for an interrupt before anything is shown
                await asyncio.wait(self._busy)
                self._start = clock.now() - float(slot.time)
            if self._too_late() and not slot.sound.any():
                self._lead, self._start = self._lead + 1, self._start + float(1 / self.fps)
                self._late.clear()
            await clock.sleep_until(self._start + float(slot.time))
            if self._failure is not None:
                raise self._failure
            if epoch == self._epoch and not session.closed:  # else this slot's sound is forgotten
                return self._show(slot)

    def interrupt(self) -> None:
        """Barge-in: forget all that was not shown."""
        self._session.interrupt(self._shown)
        self._epoch += 1
        self._wanted = None
        self._ahead.clear()
        self._ready = dict(sorted(self._ready.items())[:1])

    async def close(self) -> None:
        """Close the session, and let what is being painted end."""
        self._session.close()
        self._wanted = None
        await asyncio.gather(*self._busy, return_exceptions=True)
        if self._own_clock and isinstance(self._clock, RealClock):
            self._clock.close()

    def _request(self, slot: Slot) -> None:
        """Have a slot painted as soon as a worker is free, unless a newer one is wanted by then."""
        if self._wanted is not None:
            self._count(dropped=1)
        self._wanted = slot
        self._begin()

    def _begin(self) -> None:
        """Paint the wanted slot if a worker is free; tasks start in the order in which they are made."""
        if self._wanted is not None and len(self._busy) < self.workers:
            epoch = self._epoch
            task = asyncio.get_running_loop().create_task(self._paint(self._wanted))
            task.add_done_callback(lambda done: self._end(done, epoch))
            self._busy.add(task)
            self._wanted = None

    async def _paint(self, slot: Slot) -> LiveFrame:
        async with self._hearing:
            mouth = await self._clock.run(lambda: self._session.follow(slot))
        return await self._clock.run(lambda: self._session.draw(slot, mouth))

    def _end(self, task: asyncio.Task[LiveFrame], epoch: int) -> None:
        """Keep a picture for its time, and begin the next one."""
        self._busy.discard(task)
        if task.cancelled():
            return
        if (failure := task.exception()) is not None:
            self._failure = failure
        elif epoch == self._epoch:
            frame = task.result()
            if frame.mouth.share and self._start is not None:
                self._late.append(self._clock.now() > self._start + float(frame.time))
            if frame.number < min(self._ready, default=0):
                self._count(dropped=1)
            else:
                self._ready[frame.number] = frame
        self._begin()

    def _too_late(self) -> bool:
        """Whether pictures need more time than they have."""
        judged = len(self._late) == JUDGED
        return judged and self._lead < MOST_LEAD and sum(self._late) > LATE_SHARE * JUDGED

    def _show(self, slot: Slot) -> LiveFrame:
        """The slot with the newest picture that its time has come for."""
        *older, newest = sorted(number for number in self._ready if number <= slot.number)
        for number in older:
            del self._ready[number]
        self._count(shown=1, late=bool(older) and newest < slot.number, dropped=len(older[1:]), repeated=not older)
        self._shown = replace(self._ready[newest], number=slot.number, time=slot.time, sound=slot.sound)
        return self._shown

    def _count(self, shown: int = 0, late: bool = False, dropped: int = 0, repeated: bool = False) -> None:
        c = self.counters
        self.counters = Counters(c.shown + shown, c.late + late, c.dropped + dropped, c.repeated + repeated)


def fitting_workers(session: LiveSession) -> int:
    """Two where the networks run on a CPU of two cores or more, else one: a GPU is full with one picture."""
    import torch

    return 2 if session.device.type == "cpu" and torch.get_num_threads() > 1 else 1


async def av_frames(player: Player) -> AsyncIterator[tuple[av.VideoFrame, av.AudioFrame]]:
    """A player's frames as PyAV's, with exact times: what agent frameworks and WebRTC take.

    Args:
        player: shows the session.

    Yields:
        a picture (rgb24) and its sound (s16, mono), both with pts and time base.
    """
    import av

    samples, rate = 0, player.sound_rate
    async for frame in player:
        picture = av.VideoFrame.from_ndarray(frame.picture, format="rgb24")
        picture.pts, picture.time_base = frame.number, 1 / player.fps
        pcm = np.rint(frame.sound * 32767).astype(np.int16)
        sound = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = rate, samples, Fraction(1, rate)
        samples += len(pcm)
        yield picture, sound
