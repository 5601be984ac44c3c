"""The live server, with aiortc as its browser: who gets in, what they get, and that nothing of them stays."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import replace
from fractions import Fraction
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import numpy as np
import pytest

from musetalk_core.audio.rest import closed_mouth
from musetalk_core.cli import main
from musetalk_core.errors import GenerationError, MediaError, OptionError
from musetalk_core.live import peer, server, voices
from musetalk_core.live.frames import LiveFrame
from musetalk_core.live.media import LEAD, SoundGate
from musetalk_core.live.mouth import Mouth
from musetalk_core.live.server import LiveServer, ServerOptions
from musetalk_core.live.session import LiveSession
from musetalk_core.live.shared import JoinedCalls, share_model
from musetalk_core.models.load import LoadedModel
from musetalk_core.pipeline.avatar import Avatar, FaceTools, find_faces, make_avatar
from musetalk_core.portraits.footage import portrait_footage
from musetalk_core.video.read import ArrayFootage

FPS = Fraction(25)
RATE = 48_000
PATIENCE = 120.0  # seconds; machines that run tests can be slow
Begin = Callable[..., LiveSession]


@pytest.fixture(scope="module")
def footage() -> ArrayFootage:
    return ArrayFootage(portrait_footage(3, 0.2, width=256, height=256).read(range(5)), FPS)


@pytest.fixture(scope="module")
def avatar(footage: ArrayFootage, model: LoadedModel) -> Avatar:
    tools = FaceTools(model.vae, model.recipe)
    return make_avatar(footage, find_faces(footage, tools)[0], tools)


@pytest.fixture(scope="module")
def begin(avatar: Avatar, footage: ArrayFootage, model: LoadedModel) -> Begin:
    """Makes a session, of the model or of another one with the same networks."""
    rest = closed_mouth(model.audio)

    def make(networks: LoadedModel = model) -> LiveSession:
        return LiveSession(avatar, footage, networks, FaceTools(networks.vae, networks.recipe), rest=rest)

    return make


def buzz(seconds: float, pitch: float = 150) -> np.ndarray:
    """A loud voice, as far as the energy gate can tell."""
    at = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * pitch * at) * (1 + 0.5 * np.sin(2 * np.pi * 4 * at))).astype(np.float32)


def together(calls: JoinedCalls, works: list[Callable[[], None]]) -> None:
    """Run works in threads whose first calls find no free place until all of them wait."""
    threads = [threading.Thread(target=work) for work in works]
    places, calls._free = calls._free, 0
    for thread in threads:
        thread.start()
    until = time.monotonic() + PATIENCE
    while len(calls._waiting) < len(works):
        assert time.monotonic() < until
        time.sleep(0.001)
    with calls._change:
        calls._free = places
        calls._change.notify_all()
    for thread in threads:
        thread.join()


# One model for all.


def test_calls_that_wait_are_joined() -> None:
    torch = pytest.importorskip("torch")
    sizes: list[int] = []

    def double(rows: Any) -> Any:
        sizes.append(len(rows))
        return rows * 2

    calls = JoinedCalls(double)
    results: dict[int, Any] = {}

    def ask(number: int) -> Callable[[], None]:
        return lambda: results.update({number: calls(torch.full((number, 2), float(number)))})

    together(calls, [ask(number) for number in (1, 2, 3)])
    assert sizes == [6]
    assert calls.largest == 3
    assert all(torch.equal(results[n], torch.full((n, 2), 2.0 * n)) for n in (1, 2, 3))


def test_an_error_reaches_only_who_made_it() -> None:
    torch = pytest.importorskip("torch")

    def fussy(rows: Any, dtype: Any = None) -> Any:
        if (rows < 0).any():
            raise GenerationError("negative")
        return rows

    calls = JoinedCalls(fussy)
    results: dict[int, Any] = {}

    def ask(value: int) -> None:
        try:
            results[value] = float(calls(torch.tensor([[float(value)]])))
        except GenerationError as error:
            results[value] = error.what

    together(calls, [lambda value=value: ask(value) for value in (-1, 2, 3)])  # type: ignore[misc]
    assert results == {-1: "negative", 2: 2.0, 3: 3.0}


def test_sessions_together_show_what_each_shows_alone(model: LoadedModel, begin: Begin) -> None:
    shared = share_model(model)
    sounds = [buzz(0.5, pitch) for pitch in (110, 180, 260)]

    def speaking(networks: LoadedModel) -> list[LiveSession]:
        sessions = [begin(networks) for _ in sounds]
        for session, sound in zip(sessions, sounds, strict=True):
            session.push(sound, RATE)
        return sessions

    alone = [session.pull(6)[-1].picture for session in speaking(model)]
    sessions, pictures = speaking(shared), {}
    slots = []
    for session in sessions:
        session.pull(5)
        slots.append(session.slot())

    def paint(number: int) -> None:
        slot = slots[number]
        assert slot is not None
        pictures[number] = sessions[number].paint(slot).picture

    together(shared.lips.calls, [lambda number=number: paint(number) for number in range(3)])  # type: ignore
    assert shared.lips.calls.largest == 3  # type: ignore[attr-defined]
    for number, picture in enumerate(alone):
        assert np.abs(picture.astype(int) - pictures[number]).max() <= 1
    assert np.abs(alone[0].astype(int) - alone[2]).max() > 1  # they do not say the same


# What is heard.


def test_the_gate_lets_speech_through_with_its_beginning() -> None:
    gate, piece = SoundGate(), np.zeros(480, np.float32)
    for step in range(100):
        assert gate.push(piece, RATE, step / 100) == []
    heard = gate.push(buzz(0.01), RATE, 1.0)
    assert len(heard) == round(LEAD * 100) + 1
    assert gate.opened == pytest.approx(1 - LEAD)
    rest = [len(gate.push(piece, RATE, 1 + step / 100)) for step in range(1, 100)]
    assert rest == [1] * 50 + [0] * 49


def test_the_gate_stops_a_client_that_is_faster_than_time() -> None:
    gate = SoundGate()
    passed = sum(len(gate.push(buzz(0.1), RATE, 0.0)) for _ in range(1000))
    assert passed == 50  # five seconds


# Voices.


def register(monkeypatch: pytest.MonkeyPatch, **functions: str) -> None:
    points = EntryPoints(EntryPoint(name, value, voices.GROUP) for name, value in functions.items())
    monkeypatch.setattr(voices, "entry_points", lambda group: points)


def test_a_registered_voice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    assert voices.find_voice() is None
    with pytest.raises(OptionError, match="no voice 'ann'"):
        voices.find_voice("ann")
    register(monkeypatch, ann="builtins:len")
    assert voices.find_voice() is len
    register(monkeypatch, ann="builtins:len", bob="no_such_package:speak")
    assert voices.find_voice("ann") is len
    with pytest.raises(OptionError, match="several voices"):
        voices.find_voice()
    with pytest.raises(OptionError, match="'bob' cannot be loaded"):
        voices.find_voice("bob")


def test_a_voice_gives_pieces_or_one_sound() -> None:
    sound = (np.zeros(10, np.float32), RATE)
    assert list(voices.say(lambda text: sound, "a")) == [sound]
    assert list(voices.say(lambda text: iter([sound, sound]), "a")) == [sound, sound]
    for wrong in (lambda text: 1 / 0, lambda text: 3, lambda text: ["no sound"]):
        with pytest.raises(MediaError, match="voice failed"):
            list(voices.say(wrong, "a"))  # type: ignore[arg-type]
    with pytest.raises(MediaError, match="more than"):
        list(voices.say(lambda text: itertools.repeat((np.zeros(RATE), RATE)), "a"))


# Who gets in.


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.org", "::", ""])
def test_other_addresses_need_a_token(host: str) -> None:
    with pytest.raises(OptionError, match="token is needed"):
        ServerOptions(host=host)
    with pytest.raises(OptionError, match="too short"):
        ServerOptions(host=host, token="short")
    assert ServerOptions(host=host, token="x" * 16).host == host


def test_the_command_line_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    for module in ("aiortc", "aiohttp"):
        pytest.importorskip(module)
    assert main(["live", "--host", "0.0.0.0"]) == 1
    assert main(["live", "no such file"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert "token" in errors[0]
    assert "no such file" in errors[1]


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "aiortc", None)
    assert main(["live"]) == 1
    assert "pip install 'musetalk-lipsync[live]'" in capsys.readouterr().err


@pytest.fixture
def web() -> None:
    """Needs aiortc, aiohttp, and a network address besides 127.0.0.1, which aiortc leaves out."""
    for module in ("aiortc", "aiohttp"):
        pytest.importorskip(module, reason="needs the extra `live`")
    from aioice.ice import get_host_addresses

    if not get_host_addresses(use_ipv4=True, use_ipv6=True):
        pytest.skip("needs a network interface")


@contextlib.asynccontextmanager
async def running(make_session: Callable[[], LiveSession], **settings: Any) -> AsyncIterator[LiveServer]:
    voice = settings.pop("voice", None)
    running = LiveServer(make_session, ServerOptions(port=0, **settings), voice)
    try:
        await running.start()
        yield running
    finally:
        await running.close()


async def request(live: LiveServer, path: str, data: bytes | None = None, **headers: str) -> tuple[int, Any]:
    """Status and body."""
    from aiohttp import ClientSession

    async with ClientSession() as client:
        method = "GET" if data is None else "POST"
        async with client.request(method, live.url + path, data=data, headers=headers) as response:
            text = await response.text()
            return response.status, json.loads(text) if response.content_type == "application/json" else text


def offer(sdp: str) -> bytes:
    return json.dumps({"type": "offer", "sdp": sdp}).encode()


SECTIONS = "".join(f"m={kind} 9 X 0\r\n" for kind in ("audio", "video", "application"))
MALFORMED = [
    b"",
    b"{",
    b"[]",
    b"\xff\xfe",
    b"[" * 60_000,
    b'{"type": "offer"}',
    b'{"type": "answer", "sdp": ""}',
    offer(""),
    offer("m=audio 9 X 0\r\n" * 3),
    offer(SECTIONS),
    offer("v=0\r\n" + SECTIONS + "a=fingerprint:\r\na=ice-ufrag\r\n"),
    offer(SECTIONS + "a=candidate:1\r\n" * 65),
]


def test_strangers_and_nonsense_are_refused(web: None, begin: Begin) -> None:
    async def knock() -> None:
        async with running(begin) as live:
            host = live.url.split("/")[2]
            assert await request(live, "status", Origin=f"http://{host}") == (
                200,
                {"voice": False, "sessions": 0, "max_sessions": 4},
            )
            assert (await request(live, "status", Origin="http://evil.example"))[0] == 403
            assert (await request(live, "status", Host="evil.example"))[0] == 403
            assert (await request(live, "nothing"))[0] == 404
            for body in MALFORMED:
                status, said = await request(live, "offer", body)
                assert status == 400, body[:40]
                assert said["error"].count(".") in (1, 2)
            status, said = await request(live, "offer", offer("x" * 70_000))
            assert status == 413
            assert live.sessions == 0

    asyncio.run(knock())


def test_a_token_is_asked_for(web: None, begin: Begin) -> None:
    async def knock() -> None:
        secret = "correct horse battery"
        async with running(begin, token=secret) as live:
            assert live.address.endswith("#token=correct%20horse%20battery")
            for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer \xe4"}):
                assert (await request(live, "status", **given))[0] == 401
                assert (await request(live, "offer", b"{}", **given))[0] == 401
            assert (await request(live, "status", Authorization=f"Bearer {secret}"))[0] == 200

    asyncio.run(knock())


def test_the_page_needs_nothing_from_elsewhere(web: None, begin: Begin) -> None:
    async def read() -> None:
        async with running(begin) as live:
            for path in ("", "live.js", "live.css", "sample.wav"):
                from aiohttp import ClientSession

                async with ClientSession() as client, client.get(live.url + path) as response:
                    assert response.status == 200
                    assert "default-src 'self'" in response.headers["Content-Security-Policy"]
                    assert path == "sample.wav" or "//" not in (await response.text()).replace("// ", "")

    asyncio.run(read())


# What they get.


class Browser:
    """aiortc in the place of a browser.

    Args:
        sound: what its microphone hears, then silence.
    """

    def __init__(self, sound: np.ndarray) -> None:
        from aiortc import RTCConfiguration, RTCPeerConnection

        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sounds: list[Any] = []
        self.pictures: list[Any] = []
        self.closed = asyncio.Event()
        self._sound = sound
        self._sent = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.connection.on("track", self._on_track)

    async def connect(self, live: LiveServer) -> None:
        from aiortc import RTCSessionDescription

        from musetalk_core.live.media import make_track

        self.connection.addTransceiver(make_track("audio", self._speak))
        self.connection.addTransceiver("video", "recvonly")
        self.channel = self.connection.createDataChannel("control")
        self.channel.on("message", lambda text: self.messages.put_nowait(json.loads(text)))
        self.channel.on("close", self.closed.set)
        await self.connection.setLocalDescription(await self.connection.createOffer())
        status, answer = await request(live, "offer", offer(self.connection.localDescription.sdp))
        if status != 200:
            raise MediaError(answer["error"])
        await self.connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        while self.channel.readyState != "open":
            await asyncio.sleep(0.02)

    def send(self, **words: Any) -> None:
        self.channel.send(json.dumps(words))

    async def message(self, kind: str) -> dict[str, Any]:
        """The next message of a kind."""
        while True:
            message = await self.messages.get()
            if message["kind"] == kind:
                return message

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.connection.close()

    async def _speak(self) -> Any:
        from av import AudioFrame

        if self._sent == 0:
            self._begun = asyncio.get_running_loop().time()
        await asyncio.sleep(self._begun + self._sent / RATE - asyncio.get_running_loop().time())
        samples = np.zeros(960, np.float32)
        piece = self._sound[self._sent : self._sent + 960]
        samples[: len(piece)] = piece
        frame = AudioFrame.from_ndarray((samples[None] * 32767).astype(np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._sent, Fraction(1, RATE)
        self._sent += 960
        return frame

    def _on_track(self, track: Any) -> None:
        self._tasks.add(
            asyncio.create_task(self._watch(track, getattr(self, {"audio": "sounds"}.get(track.kind, "pictures"))))
        )

    async def _watch(self, track: Any, seen: list[Any]) -> None:
        from aiortc.mediastreams import MediaStreamError

        with contextlib.suppress(MediaStreamError):
            while True:
                seen.append(await track.recv())

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            await asyncio.sleep(0.05)

    def loudness(self) -> list[float]:
        """Of each packet that came."""
        return [float(np.abs(frame.to_ndarray()).max()) / 32767 for frame in list(self.sounds)]


def play(work: Coroutine[Any, Any, None], patience: float = PATIENCE) -> None:
    asyncio.run(asyncio.wait_for(work, patience))


def test_a_browser_sees_and_hears_what_it_says(web: None, begin: Begin, footage: ArrayFootage) -> None:
    async def talk() -> None:
        async with running(begin) as live:
            browser = Browser(buzz(1.0))
            await browser.connect(live)
            assert live.sessions == 1
            browser.send(kind="ping", id=7)
            assert (await browser.message("pong"))["id"] == 7
            await browser.until(lambda: max(browser.loudness(), default=0) > 0.2 and len(browser.pictures) > 5)
            readouts = await browser.message("readouts")
            while readouts["delay"] is None:
                readouts = await browser.message("readouts")
            assert readouts["delay"] >= 120
            assert readouts["shown"] > 5
            assert readouts["sessions"] == 1
            sounds = [frame.pts for frame in browser.sounds]
            # A busy machine loses packets, here or there, but none comes twice or at an odd time.
            assert all(step > 0 and step % 960 == 0 for step in np.diff(sounds))
            assert all(frame.pts % 3600 == 0 for frame in browser.pictures)  # 90 kHz, 25 frames a second
            picture = browser.pictures[0].to_ndarray(format="rgb24")
            assert np.abs(picture.astype(int) - footage.read([0])[0]).mean() < 8
            await browser.close()
            while live.sessions:
                await asyncio.sleep(0.05)

    play(talk())


def test_an_interrupt_silences(web: None, begin: Begin) -> None:
    def voice(text: str) -> Iterator[tuple[np.ndarray, int]]:
        assert text == "Hello"
        yield buzz(60), RATE

    async def talk() -> None:
        async with running(begin, voice=voice) as live:
            assert (await request(live, "status"))[1]["voice"]
            browser = Browser(np.zeros(0))
            await browser.connect(live)
            browser.send(kind="text", text="Hello")
            await browser.until(lambda: max(browser.loudness(), default=0) > 0.2)
            browser.send(kind="interrupt")
            await browser.until(lambda: len(browser.sounds) > 50 and max(browser.loudness()[-25:]) < 0.01)
            await browser.close()

    play(talk())


def test_a_voice_that_fails_is_told(web: None, begin: Begin) -> None:
    def voice(text: str) -> tuple[np.ndarray, int]:
        raise OSError("no voice today")

    async def talk() -> None:
        async with running(begin, voice=voice) as live:
            browser = Browser(np.zeros(0))
            await browser.connect(live)
            browser.send(kind="text", text="Hello")
            assert "no voice today" in (await browser.message("error"))["what"]
            browser.send(kind="ping", id=1)
            await browser.message("pong")
            await browser.close()

    play(talk())


def test_messages_that_make_no_sense_do_no_harm(web: None, begin: Begin) -> None:
    async def talk() -> None:
        async with running(begin) as live:
            browser = Browser(np.zeros(0))
            await browser.connect(live)
            nonsense = [
                "",
                "{",
                "[]",
                "3",
                b"\xff\xfe\x00",
                "x" * 60_000,
                "[" * 4000,
                '{"kind": "text", "text": "no voice"}',
            ]
            for message in nonsense:
                browser.channel.send(message)
                assert "no sense" in (await browser.message("error"))["what"]
            browser.send(kind="ping", id=1)
            await browser.message("pong")
            for _ in range(peer.MOST_FAULTS):
                browser.channel.send("?")
            await browser.closed.wait()
            while live.sessions:
                await asyncio.sleep(0.05)
            await browser.close()

    play(talk())


def test_one_too_many_is_told_so(web: None, begin: Begin) -> None:
    async def talk() -> None:
        async with running(begin, max_sessions=1) as live:
            first, second, third = (Browser(np.zeros(0)) for _ in range(3))
            await first.connect(live)
            with pytest.raises(MediaError, match="busy with somebody else"):
                await second.connect(live)
            await first.close()
            while live.sessions:
                await asyncio.sleep(0.05)
            await third.connect(live)
            await second.close()
            await third.close()

    play(talk())


def test_a_session_that_fails_ends_with_a_word(web: None, begin: Begin) -> None:
    def broken() -> LiveSession:
        session = begin()

        def fail(slot: object) -> Mouth:
            raise GenerationError("The network is broken.")

        session.follow = fail  # type: ignore[method-assign]
        return session

    async def talk() -> None:
        lines: list[str] = []
        async with running(broken) as live:
            live._report = lines.append
            browser = Browser(np.zeros(0))
            await browser.connect(live)
            while live.sessions:
                await asyncio.sleep(0.05)
            await browser.close()
        assert "The network is broken." in lines

    play(talk())


def test_who_vanishes_leaves_nothing(web: None, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "SILENT", 3.0)
    sessions: list[weakref.ref[LiveSession]] = []

    def make_session() -> LiveSession:
        session = begin()
        sessions.append(weakref.ref(session))
        return session

    async def come_and_go() -> None:
        async with running(make_session) as live:
            for number in range(10):
                browser = Browser(np.zeros(0))
                await browser.connect(live)
                # On a slow machine the server may take it for gone before it has seen anything.
                await browser.until(lambda browser=browser: browser.pictures or not live.sessions)  # type: ignore[misc]
                if number % 2:
                    await browser.close()  # says goodbye
                else:
                    vanish(browser)
                while live.sessions:
                    await asyncio.sleep(0.05)
                await browser.close()
            names = [thread.name for thread in threading.enumerate()]
            assert not [name for name in names if "musetalk-live" in name or "decoder" in name]
            assert len([task for task in asyncio.all_tasks() if "Peer" in repr(task)]) == 0

    play(come_and_go(), 4 * PATIENCE)
    gc.collect()
    assert len(sessions) == 10
    assert [session() for session in sessions if session() is not None] == []


def vanish(browser: Browser) -> None:
    """As when the browser is killed: not another packet, no goodbye."""

    async def nothing(*anything: object) -> None:
        return None

    for transceiver in browser.connection.getTransceivers():
        for protocol in transceiver.receiver.transport.transport._connection._protocols:
            protocol.send_data, protocol.send_stun = nothing, lambda *anything: None


def test_the_server_leaves_with_guests_inside(web: None, begin: Begin) -> None:
    async def talk() -> None:
        async with running(begin) as live:
            browser = Browser(buzz(30))
            await browser.connect(live)
            await browser.until(lambda: len(browser.pictures) > 0)
        await browser.closed.wait()
        assert live.sessions == 0
        await browser.close()

    play(talk())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("musetalk-")]


def test_serve_ends_when_it_is_cancelled(web: None, begin: Begin) -> None:
    async def run() -> None:
        live, ready = LiveServer(begin, ServerOptions(port=0)), asyncio.Event()
        task = asyncio.create_task(server.serve(live, ready.set))
        await ready.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    play(run())


def test_packets_are_twenty_milliseconds_at_any_frame_rate() -> None:
    pytest.importorskip("av")
    from musetalk_core.live.media import PictureOut, SoundOut

    async def run() -> None:
        fps = Fraction(30_000, 1001)
        sound, pictures = SoundOut(RATE, lambda: 0.0), PictureOut(fps)
        picture = np.zeros((64, 64, 3), np.uint8)
        ends = [number * RATE * 1001 // 30_000 for number in range(31)]
        values = np.linspace(-1, 1, ends[-1], dtype=np.float32)
        for number in range(30):
            frame = LiveFrame(number, number / fps, values[ends[number] : ends[number + 1]], picture, Mouth())
            sound.put(frame)
            pictures.put(replace(frame, picture=picture if number < 3 else picture.copy()))
        packets = [await sound.recv() for _ in range(ends[-1] // 960)]
        assert [packet.pts for packet in packets] == [960 * number for number in range(len(packets))]
        heard = np.concatenate([packet.to_ndarray()[0] for packet in packets]) / 32767
        assert np.abs(heard - values[: len(heard)]).max() < 1e-4
        shown = await pictures.recv()
        assert (shown.pts, shown.time_base) == (29, 1 / fps)

    asyncio.run(run())


def test_sound_goes_out_with_its_picture() -> None:
    """An encoder takes 60 ms for a picture: the packets of its time wait as long."""
    pytest.importorskip("av")
    from musetalk_core.live.media import PictureOut, SoundOut

    async def run() -> list[float]:
        loop, fps = asyncio.get_running_loop(), Fraction(10)
        pictures = PictureOut(fps)
        sound = SoundOut(RATE, lambda: pictures.delay)
        put: list[float] = []
        sent: list[float] = []

        async def show() -> None:
            for number in range(30):
                frame = LiveFrame(
                    number, number / fps, np.zeros(RATE // 10, np.float32), np.zeros((8, 8, 3), np.uint8), Mouth()
                )
                pictures.put(frame)
                sound.put(frame)
                put.append(loop.time())
                await asyncio.sleep(0.1)

        async def encode() -> None:
            while True:
                await pictures.recv()
                await asyncio.sleep(0.06)

        async def send() -> None:
            while len(sent) < 150:
                await sound.recv()
                sent.append(loop.time())

        encoder = asyncio.create_task(encode())
        await asyncio.gather(show(), send())
        encoder.cancel()
        return [sent[5 * number] - put[number] for number in range(30)]

    waits = asyncio.run(run())
    assert waits[0] < 0.04
    assert np.median(waits[-5:]) == pytest.approx(0.06, abs=0.02)
