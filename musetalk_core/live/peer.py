"""One browser: its connection, its session, and what both say to each other."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from ..errors import MuseTalkError
from .media import PictureOut, SoundGate, SoundOut, make_track, samples_of
from .pace import Player
from .session import LiveSession, SessionError
from .voices import Voice, say

if TYPE_CHECKING:
    from aiortc import MediaStreamTrack, RTCDataChannel, RTCPeerConnection

KINDS = ["application", "audio", "video"]  # what an offer must hold, each once
MOST_CANDIDATES = 64  # addresses in an offer: the server knocks at each of them
CONNECT = 15.0  # seconds from the answer to the connection
SILENT = 10.0  # seconds without a sign of life after which a client counts as gone; the page sends one every second
CLOSING = 5.0  # seconds that a connection gets to say goodbye
LONGEST_MESSAGE = 4096  # characters
MOST_FAULTS = 20  # messages that make no sense before the connection is closed
MOST_WAITING = 65_536  # bytes of readouts that may wait for a slow client


class OfferError(MuseTalkError):
    """A browser's offer cannot be read, or asks for something else than this server gives."""


class Peer:
    """A browser with its session, from its offer until it is gone.

    Args:
        session: its own; closed at the end.
        voice: says texts; None when there is none.
        voices: threads in which voices speak.
        readouts: what else the page is told every second.
    """

    def __init__(
        self, session: LiveSession, voice: Voice | None, voices: Executor, readouts: Callable[[], dict[str, Any]]
    ) -> None:
        self._session = session
        self._player = Player(session)
        self._voice = voice
        self._voices = voices
        self._readouts = readouts
        self._pictures = PictureOut(session.fps)
        self._sound = SoundOut(session.options.sound_rate, lambda: self._pictures.delay)
        self._gate = SoundGate()
        self._hush = threading.Event()  # set to stop the text that is being said
        self._texts: asyncio.Queue[str] = asyncio.Queue(maxsize=8)
        self._connection: RTCPeerConnection | None = None
        self._channel: RTCDataChannel | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._connected = asyncio.Event()
        self._alive = 0.0  # when the client last gave a sign of life
        self._since: float | None = None  # when the first sound came that was not shown yet
        self._delay: float | None = None  # seconds from the arrival of a first sound to its picture
        self._faults = 0
        self._over = asyncio.Event()

    async def answer(self, offer: str) -> str:
        """The answer to a browser's offer (`check_offer`), both SDP.

        Raises:
            OfferError: the offer is malformed.
        """
        from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription

        # No outside servers: without this aiortc asks one of Google's for our address.
        connection = self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connection.on("track", self._on_track)
        connection.on("datachannel", self._on_channel)
        connection.on("connectionstatechange", self._on_state)
        connection.addTransceiver(make_track("audio", self._sound.recv))
        pictures = connection.addTransceiver(make_track("video", self._pictures.recv), "sendonly")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        # VP8 encodes fastest here, and every browser has it.
        pictures.setCodecPreferences([codec for codec in codecs if codec.mimeType in ("video/VP8", "video/rtx")])
        try:
            await connection.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
            await connection.setLocalDescription(await connection.createAnswer())
        except Exception as error:  # aiortc's parser fails in many ways on what is no SDP
            raise OfferError("The offer cannot be read.", "Load the page again.") from error
        self._alive = asyncio.get_running_loop().time()
        # Browsers send 10 ms a packet when asked to; aiortc's buffer holds four packets back.
        return str(connection.localDescription.sdp).replace("a=rtcp-mux", "a=ptime:10\r\na=rtcp-mux", 1)

    async def serve(self) -> None:
        """Give pictures and sound until the browser is gone, or `stop`; then free everything.

        Raises:
            MuseTalkError: the session failed; the page has been told.
        """
        self._start(self._watch())
        self._start(self._show())
        if self._voice is not None:
            self._start(self._speak(self._voice))
        over = self._start(self._over.wait())
        try:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            failed = next((error for task in self._tasks if task.done() and (error := task.exception())), None)
            if failed is not None:
                self._send("error", what=str(failed) if isinstance(failed, MuseTalkError) else "The server failed.")
                raise failed
        finally:
            over.cancel()
            await self._free()

    def stop(self) -> None:
        """End `serve`."""
        self._over.set()

    async def close(self) -> None:
        """Free everything; for peers that `serve` never ran for."""
        await self._free()

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        return task

    async def _free(self) -> None:
        self._hush.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._player.close()
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            await asyncio.wait([asyncio.ensure_future(connection.close())], timeout=CLOSING)

    # What the connection tells.

    def _on_state(self) -> None:
        state = "closed" if self._connection is None else self._connection.connectionState
        if state == "connected":
            self._connected.set()
        elif state in ("failed", "closed"):
            self._over.set()

    def _on_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            self._start(self._listen(track))

    def _on_channel(self, channel: RTCDataChannel) -> None:
        if self._channel is not None:
            channel.close()
            return
        self._channel = channel
        channel.on("message", self._on_message)
        channel.on("close", self.stop)

    def _on_message(self, message: str | bytes) -> None:
        """A client's message: JSON with a `kind`."""
        self._alive = asyncio.get_running_loop().time()
        said = _parse(message)
        kind = said.get("kind")
        if kind == "ping":
            self._send("pong", id=said.get("id"))
        elif kind == "interrupt":
            self.interrupt()
        elif kind == "text" and isinstance(said.get("text"), str) and self._voice is not None:
            self._say(said["text"])
        else:
            self._faults += 1
            self._send("error", what="This message makes no sense to the server.")
            if self._faults >= MOST_FAULTS:
                self.stop()

    def interrupt(self) -> None:
        """Barge-in: forget all that was not shown."""
        self._hush.set()
        while not self._texts.empty():
            self._texts.get_nowait()
        self._player.interrupt()
        self._since = None

    # What runs beside each other.

    async def _listen(self, track: MediaStreamTrack) -> None:
        """The browser's sound into the session."""
        from aiortc.mediastreams import MediaStreamError

        loop = asyncio.get_running_loop()
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:  # the track has ended; the connection may go on without it
                await self._over.wait()
                return
            self._alive = loop.time()
            for samples, rate in self._gate.push(samples_of(frame), frame.sample_rate, loop.time()):
                self._since = self._gate.opened if self._since is None else self._since
                self._session.push(samples, rate)

    async def _show(self) -> None:
        """The session's frames to the browser, from the moment it can see them."""
        await self._connected.wait()
        silent = True
        async for frame in self._player:
            self._pictures.put(frame)
            self._sound.put(frame)
            if frame.sound.any():
                if silent and self._since is not None:
                    self._delay = asyncio.get_running_loop().time() - self._since
                silent = False
            elif not silent:
                silent, self._since = True, None

    async def _watch(self) -> None:
        """Once a second: tell how it goes; end when the client is gone."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while loop.time() - self._alive < SILENT and (self._connected.is_set() or loop.time() - begun < CONNECT):
            delay = None if self._delay is None else round(1000 * self._delay)
            self._send("readouts", delay=delay, **dataclasses.asdict(self._player.counters), **self._readouts())
            await asyncio.sleep(1)

    async def _speak(self, voice: Voice) -> None:
        """Say one text after the other."""
        loop = asyncio.get_running_loop()
        while True:
            text = await self._texts.get()
            self._hush.clear()
            try:
                await loop.run_in_executor(self._voices, self._say_now, voice, text, loop.time())
            except SessionError:
                return
            except MuseTalkError as error:
                self._send("error", what=str(error))

    def _say(self, text: str) -> None:
        try:
            self._texts.put_nowait(text)
        except asyncio.QueueFull:
            self._send("error", what="Too many texts wait to be said.")

    def _say_now(self, voice: Voice, text: str, now: float) -> None:
        """Push a text's sound as it comes; runs in a thread."""
        for pcm, rate in say(voice, text):
            if self._hush.is_set():
                return
            self._since = now if self._since is None else self._since
            self._session.push(pcm, rate)
        self._session.flush()

    def _send(self, kind: str, **words: Any) -> None:
        """Tell the page something, if it listens."""
        channel = self._channel
        if channel is not None and channel.readyState == "open" and channel.bufferedAmount < MOST_WAITING:
            channel.send(json.dumps({"kind": kind, **words}))


def check_offer(offer: str) -> None:
    """Refuse an offer that asks for something else than this server gives, before anything is made for it.

    Raises:
        OfferError: it is not for one sound, one picture and one data channel.
    """
    lines = offer.splitlines()
    kinds = sorted(line[2:].split(" ", 1)[0] for line in lines if line.startswith("m="))
    if kinds != KINDS:
        raise OfferError("The offer must hold one sound, one picture and one data channel.", "Load the page again.")
    if sum(line.startswith("a=candidate") for line in lines) > MOST_CANDIDATES:
        raise OfferError(f"The offer holds more than {MOST_CANDIDATES} addresses.")


def _parse(message: str | bytes) -> dict[str, Any]:
    """What a client says; empty when it makes no sense."""
    if len(message) > LONGEST_MESSAGE:
        return {}
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
