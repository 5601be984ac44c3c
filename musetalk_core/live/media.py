"""Between a live session and WebRTC: sound that comes in, pictures and sound that go out, each at its time.

Times are those of the event loop, in seconds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..audio.resample import mono
from .frames import LiveFrame

if TYPE_CHECKING:
    from aiortc import MediaStreamTrack
    from av import AudioFrame, VideoFrame

PACKET = Fraction(1, 50)  # seconds of sound in one packet, as aiortc's Opus encoder cuts it
MOST_PACKETS = 50  # packets that wait when a connection stalls; older ones are dropped, for the delay would stay
LOUD = 10 ** (-50 / 20)  # RMS of a piece of sound that is not a quiet room
LEAD = 0.1  # seconds before the first loud piece that are heard too, so that soft beginnings are not cut off
HANG = 0.5  # seconds after the last loud piece that are heard too
SMOOTH = 0.1  # share of the newest picture in the mean time that pictures take to be sent
AHEAD = 5.0  # seconds by which a client may be faster than time; the rest is dropped


def make_track(kind: str, recv: Callable[[], Awaitable[VideoFrame | AudioFrame]]) -> MediaStreamTrack:
    """A track of aiortc whose frames a function gives."""
    from aiortc import MediaStreamTrack

    class Track(MediaStreamTrack):  # type: ignore[misc]  # aiortc's tracks are made by deriving from them
        async def recv(self) -> VideoFrame | AudioFrame:
            return await recv()

    track = Track()
    track.kind = kind
    return track


class PictureOut:
    """The newest picture, for as long as nobody has taken it; what comes too fast for the encoder is left out.

    Args:
        fps: frames a second of the session.
    """

    def __init__(self, fps: Fraction) -> None:
        self.delay = 0.0  # mean seconds from a picture's time to when it was encoded and sent
        self._time_base = 1 / fps
        self._newest: LiveFrame | None = None
        self._time = 0.0  # of the newest picture
        self._taken: float | None = None  # the time of the picture that is being sent
        self._there = asyncio.Event()

    def put(self, frame: LiveFrame) -> None:
        """Show a frame, unless its picture is the one that is shown already."""
        if self._newest is None or frame.picture is not self._newest.picture:
            self._newest, self._time = frame, asyncio.get_running_loop().time()
            self._there.set()

    async def recv(self) -> VideoFrame:
        """The next picture, with its exact time. aiortc asks for it as soon as the one before is sent."""
        from av import VideoFrame

        if self._taken is not None:
            self.delay += SMOOTH * (asyncio.get_running_loop().time() - self._taken - self.delay)
        await self._there.wait()
        self._there.clear()
        frame, self._taken = self._newest, self._time
        if frame is None:
            raise asyncio.CancelledError
        picture = VideoFrame.from_ndarray(frame.picture, format="rgb24")
        picture.pts, picture.time_base = frame.number, self._time_base
        return picture


class SoundOut:
    """Sound in packets of 20 ms, whatever the frame rate of the pictures.

    aiortc tells a browser when it sent what, not when that was to be seen or heard. So a packet is sent when the
    picture of its time is, for the browser to play both together.

    Args:
        rate: samples a second.
        delay: seconds from a picture's time to when it is sent.
    """

    def __init__(self, rate: int, delay: Callable[[], float]) -> None:
        self._rate, self._delay = rate, delay
        self._size = int(rate * PACKET)
        self._rest = np.zeros(0, np.float32)
        self._packets: deque[tuple[int, float, np.ndarray]] = deque(maxlen=MOST_PACKETS)
        self._count = 0
        self._there = asyncio.Event()

    def put(self, frame: LiveFrame) -> None:
        """The sound of the next frame, whose time is now."""
        begun = asyncio.get_running_loop().time() - len(self._rest) / self._rate
        sound = np.concatenate([self._rest, frame.sound])
        whole = len(sound) // self._size * self._size
        for place, packet in enumerate(sound[:whole].reshape(-1, self._size)):  # (packets, samples)
            self._packets.append((self._count * self._size, begun + place * float(PACKET), packet))
            self._count += 1
            self._there.set()
        self._rest = sound[whole:]

    async def recv(self) -> AudioFrame:
        """The next packet, s16 mono, not before its picture, with its exact time."""
        from av import AudioFrame

        await self._there.wait()
        await asyncio.sleep(self._packets[0][1] + self._delay() - asyncio.get_running_loop().time())
        start, _, samples = self._packets.popleft()
        if not self._packets:
            self._there.clear()
        packet = AudioFrame.from_ndarray(np.rint(samples[None] * 32767).astype(np.int16), format="s16", layout="mono")
        packet.sample_rate, packet.pts, packet.time_base = self._rate, start, Fraction(1, self._rate)
        return packet


def samples_of(frame: AudioFrame) -> np.ndarray:
    """The sound of a frame that aiortc decoded (packed samples) as (n,) float32 mono."""
    channels = len(frame.layout.channels)
    return mono(frame.to_ndarray().reshape(-1, channels).T)  # (1, n * C) -> (C, n)


class SoundGate:
    """Lets speech through, not the quiet between.

    So a microphone that is always open leaves no unending utterance behind: in each pause the session catches up with
    whatever the network delayed, and it computes nothing while nobody speaks.
    """

    def __init__(self) -> None:
        self._before: deque[tuple[np.ndarray, int, float]] = deque()  # quiet pieces, and when they came
        self._open_until = -1.0
        self._started = 0.0
        self._seconds = 0.0  # let through since then

    @property
    def opened(self) -> float:
        """When the first sound of this stretch came."""
        return self._started

    def push(self, samples: np.ndarray, rate: int, now: float) -> list[tuple[np.ndarray, int]]:
        """What of the sound so far is to be heard now.

        Args:
            samples: (n,) float32 mono, n >= 1.
            rate: samples a second.
            now: when it came.
        """
        loud = float(np.sqrt(np.mean(np.square(samples)))) > LOUD
        opening = loud and now > self._open_until
        self._before.append((samples, rate, now))
        if loud:
            self._open_until = now + HANG
        if now > self._open_until:
            while self._before[0][2] <= now - LEAD:
                self._before.popleft()
            return []
        if opening:
            self._started, self._seconds = self._before[0][2], 0.0
        pieces = [(samples, rate) for samples, rate, _ in self._before]
        self._before.clear()
        self._seconds += sum(len(samples) / rate for samples, rate in pieces)
        return pieces if self._seconds <= now - self._started + AHEAD else []
