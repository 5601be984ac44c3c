"""The live server as a browser meets it: headless Chromium with a WAV file as its microphone, on this machine.

    python scripts/bench/live_browser.py [--seconds 20] [--size 512] [--sessions 1] [--picture page.png]

Needs the extra `live`, Playwright (`pip install playwright`; no part of the project) and Chromium. Server and browser
share the machine's cores. The person is drawn, the model nano, the voice the package's sample, over and over with a
pause. The server writes its frame number into each picture's corner as blocks, and keeps the sound of each frame; the
browser records what the microphone gives, what it hears, and which frame it shows when. So it prints

- spoken to heard: from a sample in the browser's microphone to the same sample in what it plays,
- skew: when a picture is shown, less when the sound that belongs to it is heard, both where the browser hands them to
  screen and loudspeaker,
- what the page's own readouts said,
- what is left when the browser is killed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import wave
import weakref
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from musetalk_core.audio.read import read_audio
from musetalk_core.audio.resample import resampled
from musetalk_core.audio.rest import closed_mouth
from musetalk_core.live.frames import LiveFrame, Slot
from musetalk_core.live.mouth import Mouth
from musetalk_core.live.server import LiveServer, ServerOptions
from musetalk_core.live.session import LiveOptions, LiveSession
from musetalk_core.live.shared import share_model
from musetalk_core.models.load import load_model
from musetalk_core.models.registry import FolderLocator
from musetalk_core.pipeline.avatar import FaceTools, find_faces, make_avatar
from musetalk_core.placement import SingleDevice
from musetalk_core.portraits.footage import portrait_footage
from musetalk_core.portraits.motion import MouthCurve
from musetalk_core.portraits.sample import SAMPLE_SEED, sample_speech
from musetalk_core.video.read import ArrayFootage

FPS, RATE = Fraction(25), 48_000
DRAWN = 50  # frames, shown back and forth
BLOCK, BITS = 12, 14  # pixels of a block, blocks: they hold the frame number
TAP = 1024  # samples that the page records at once
PAUSES = (0.7, 1.6, 1.0, 2.1, 1.3)  # seconds after a sentence: unequal, so that no two stretches sound alike
NEAR = 0.5  # seconds by which a piece of sound may be away from where all of them lie
WINDOW = 1.0  # seconds of sound that are laid over each other at once
LOUD, SURE = 0.01, 0.5  # RMS and fit (up to 1) below which a piece tells nothing

# Records in the page: microphone and loudspeaker sample by sample, and the number and time of each shown picture.
RECORD = (
    """
async () => {
  const video = document.getElementById("avatar");
  const context = new AudioContext({sampleRate: 48000});
  await context.resume();
  const mic = await navigator.mediaDevices.getUserMedia({audio: {
    echoCancellation: false, noiseSuppression: false, autoGainControl: false}});
  const merger = context.createChannelMerger(2), tap = context.createScriptProcessor(TAP, 2, 1);
  context.createMediaStreamSource(mic).connect(merger, 0, 0);
  context.createMediaStreamSource(new MediaStream(video.srcObject.getAudioTracks())).connect(merger, 0, 1);
  merger.connect(tap).connect(context.destination);
  const record = window.record = {sound: [[], []], frames: [], blocks: [], connection: null};
  tap.onaudioprocess = ({inputBuffer}) => {
    for (const side of [0, 1]) record.sound[side].push(inputBuffer.getChannelData(side).slice());
    record.blocks.push(performance.now());
  };
  const canvas = new OffscreenCanvas(BITS * BLOCK, BLOCK), paper = canvas.getContext("2d", {willReadFrequently: true});
  const look = (now, {presentationTime}) => {
    paper.drawImage(video, 0, 0, canvas.width, BLOCK, 0, 0, canvas.width, BLOCK);
    const pixels = paper.getImageData(0, 0, canvas.width, BLOCK).data;
    let number = 0;
    for (let bit = 0; bit < BITS; bit++)
      if (pixels[4 * ((BLOCK >> 1) * canvas.width + bit * BLOCK + (BLOCK >> 1))] > 127) number |= 1 << bit;
    record.frames.push([presentationTime, number]);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
}
""".replace("BITS", str(BITS))
    .replace("BLOCK", str(BLOCK))
    .replace("TAP", str(TAP))
)

COLLECT = """
() => {
  const words = (blocks) => {
    const bytes = new Uint8Array(new Float32Array(blocks.flatMap((block) => [...block])).buffer);
    let text = "";
    for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
    return btoa(text);
  };
  const {sound, frames, blocks} = window.record;
  const readouts = Object.fromEntries([...document.querySelectorAll("#readouts div")]
    .map((row) => [row.children[0].textContent, row.children[1].textContent]));
  const {videoWidth, videoHeight} = document.getElementById("avatar");
  return {sound: sound.map(words), frames, blocks, readouts, size: [videoWidth, videoHeight]};
}
"""


class NumberedSession(LiveSession):
    """A session that writes its frame numbers into its pictures and keeps the sound of its frames."""

    def __init__(self, *args: Any, **words: Any) -> None:
        super().__init__(*args, **words)
        self.sounds: dict[int, np.ndarray] = {}

    def next_slot(self) -> Slot:
        """See `LiveSession`."""
        slot = super().next_slot()
        self.sounds[slot.number] = slot.sound
        return slot

    def draw(self, slot: Slot, mouth: Mouth) -> LiveFrame:
        """See `LiveSession`."""
        frame = super().draw(slot, mouth)
        for bit in range(BITS):
            frame.picture[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 235 if slot.number >> bit & 1 else 16
        return frame


class Stage:
    """What every browser gets: one person, one model, a session each."""

    def __init__(self, size: int, model: str) -> None:
        networks = share_model(load_model(model, FolderLocator(None), SingleDevice()))
        rest = MouthCurve(np.zeros(DRAWN), np.ones(DRAWN), np.zeros(DRAWN))
        drawn = portrait_footage(SAMPLE_SEED, DRAWN / FPS, FPS, width=size, height=size, mouth=rest)
        footage, tools = ArrayFootage(drawn.read(range(DRAWN)), FPS), FaceTools(networks.vae, networks.recipe)
        avatar = make_avatar(footage, find_faces(footage, tools)[0], tools)
        self._parts: tuple[Any, ...] = (avatar, footage, networks, tools)
        self._closed_mouth = closed_mouth(networks.audio)
        self.lips = networks.lips
        self.sessions: list[weakref.ref[NumberedSession]] = []

    def __call__(self) -> LiveSession:
        session = NumberedSession(*self._parts, LiveOptions(sound_rate=RATE), rest=self._closed_mouth)
        self.sessions.append(weakref.ref(session))
        return session

    @property
    def alive(self) -> int:
        """Sessions that are still in memory."""
        gc.collect()
        return sum(session() is not None for session in self.sessions)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--sessions", type=int, default=1, help="pages at a time; the first is measured")
    parser.add_argument("--picture", type=Path, help="where to keep a picture of the page")
    parser.add_argument("--dark", action="store_true", help="of the dark page")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    args = parser.parse_args()
    try:
        import playwright.async_api  # noqa: F401
    except ImportError:
        raise SystemExit("This measurement needs Playwright: pip install playwright.") from None
    if args.chromium is None:
        raise SystemExit("No Chromium was found. Install it, or name it with --chromium.")
    asyncio.run(measure(args))


async def measure(args: argparse.Namespace) -> None:
    """One run."""
    stage = Stage(args.size, args.model)
    server = LiveServer(stage, ServerOptions(port=0, max_sessions=args.sessions))
    await server.start()
    before = threading.active_count(), memory()
    with tempfile.TemporaryDirectory() as folder:
        microphone = Path(folder) / "microphone.wav"
        write_microphone(microphone)
        async with chromium(args.chromium, microphone, Path(folder), args.dark) as (browser, kill):
            pages = [await browser.new_page() for _ in range(args.sessions)]
            for page in pages:
                page.on(
                    "console", lambda message: print(f"  page: {message.text}") if message.type == "error" else None
                )
                await page.goto(server.url)
            for page in pages:
                await page.wait_for_selector("#state:empty", state="attached", timeout=300_000)
                await page.click("#microphone")
            page = pages[0]
            await page.bring_to_front()
            await page.evaluate(RECORD)
            await asyncio.sleep(args.seconds)
            found = await page.evaluate(COLLECT)
            if args.picture:
                await page.screenshot(path=args.picture)
            print(f"{args.size} px, {args.sessions} sessions, {args.seconds:.0f} s; the page got {found['size']}")
            for name, value in found["readouts"].items():
                print(f"  {name}: {value}")
            session = stage.sessions[0]()
            if session is not None:
                report(found, dict(session.sounds))
            del session
            print(f"  largest joint call of the U-Net: {stage.lips.calls.largest} sessions")  # type: ignore[attr-defined]
            during = threading.active_count(), memory()
            kill()
            killed = time.perf_counter()
            while server.sessions:
                await asyncio.sleep(0.05)
            print(f"browser killed: sessions gone after {time.perf_counter() - killed:.1f} s, "
                  f"{stage.alive} of {len(stage.sessions)} in memory; threads {before[0]} before, {during[0]} during, "
                  f"{threading.active_count()} after; {before[1]:.0f}, {during[1]:.0f}, {memory():.0f} MB")  # fmt: skip
    await server.close()


@contextlib.asynccontextmanager
async def chromium(program: str, microphone: Path, folder: Path, dark: bool) -> AsyncIterator[tuple[Any, Any]]:
    """A browser of our own, and what kills it as a crash does."""
    from playwright.async_api import async_playwright

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         f"--remote-debugging-port={port}", f"--user-data-dir={folder / 'profile'}", "--window-size=1180,720",
         "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
         f"--use-file-for-fake-audio-capture={microphone}", "--autoplay-policy=no-user-gesture-required",
         "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    try:
        async with async_playwright() as playwright:
            browser = await connected(playwright, f"http://127.0.0.1:{port}")
            scheme = "dark" if dark else "light"
            yield await browser.new_context(color_scheme=scheme, viewport={"width": 1180, "height": 720}), kill
    finally:
        kill()


async def connected(playwright: Any, address: str) -> Any:
    """The browser, once it has started."""
    for _ in range(240):
        with contextlib.suppress(Exception):
            return await playwright.chromium.connect_over_cdp(address, timeout=120_000)
        await asyncio.sleep(0.5)
    raise SystemExit("Chromium did not start.")


def write_microphone(path: Path) -> None:
    """The sample sentence with unequal pauses, 48 kHz; Chromium plays it over and over."""
    clip = read_audio(sample_speech())
    sentence = np.concatenate(list(resampled([clip.samples], clip.rate, RATE)))
    sound = np.concatenate([part for pause in PAUSES for part in (sentence, np.zeros(round(pause * RATE)))])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.rint(sound * 32767).astype(np.int16).tobytes())


def report(found: dict[str, Any], slots: dict[int, np.ndarray]) -> None:
    """Delays from what the page recorded and what the server gave."""
    import base64

    spoken, heard = (np.frombuffer(base64.b64decode(side), np.float32) for side in found["sound"])
    blocks = np.array(found["blocks"]) / 1000
    # A block is handed over when its last sample is there, or later: the earliest tells when the recording began.
    begun = float(np.min(blocks - np.arange(1, len(blocks) + 1) * TAP / RATE))
    given, first = np.concatenate([slots[number] for number in sorted(slots)]), min(slots)
    step, size = RATE // 2, round(WINDOW * RATE)
    pieces = {at: heard[at : at + size] for at in range(0, len(heard) - size, step)}
    pieces = {at: piece for at, piece in pieces.items() if np.sqrt(np.mean(piece**2)) > LOUD}
    waits = []
    for at, piece in pieces.items():
        start = max(0, at - 2 * RATE)
        lag, match = place(spoken[start : at + size], piece)
        if match > SURE:
            waits.append((at - start - lag) / RATE)
    # The same sentence comes again and again: most pieces tell where the recording lies, and each is looked for there.
    shifts = np.array([place(given, piece)[0] - at for at, piece in pieces.items()])
    shift = max(shifts, key=lambda one: np.sum(np.abs(shifts - one) < NEAR * RATE), default=0)
    places = []
    for at, piece in pieces.items():
        low = max(0, int(at + shift - NEAR * RATE))
        part = given[low : int(at + shift + NEAR * RATE) + size]
        lag, match = place(part, piece) if len(part) >= size else (0, 0.0)
        if match > SURE:
            places.append((low + lag, begun + at / RATE))
    frames = sorted({number: shown for shown, number in reversed(found["frames"])}.items())
    if not waits or not places or not frames:
        print("  nothing was heard or seen that can be laid over what was given")
        return
    print(f"  spoken to heard: median {1000 * np.median(waits):.0f} ms, {1000 * min(waits):.0f} to "
          f"{1000 * max(waits):.0f} in {len(waits)} pieces")  # fmt: skip
    samples, moments = np.array(places).T
    skews = []
    for number, shown in frames:
        sample = (number - first) * RATE / FPS
        nearest = int(np.argmin(np.abs(samples - float(sample))))
        if abs(samples[nearest] - float(sample)) <= size:
            skews.append(shown - 1000 * (moments[nearest] + (float(sample) - samples[nearest]) / RATE))
    p5, p50, p95 = np.percentile(skews, [5, 50, 95])
    gaps = np.percentile(np.diff([moment for _, moment in frames]), [50, 95, 99])
    print(f"  picture after sound: median {p50:.0f} ms, 5 to 95 % {p5:.0f} to {p95:.0f} ms, {len(skews)} frames")
    print(
        f"  pictures shown: {len(frames)}, interval "
        + " / ".join(f"{gap:.0f}" for gap in gaps)
        + " ms (p50 / p95 / p99)"
    )


def place(whole: np.ndarray, piece: np.ndarray) -> tuple[int, float]:
    """Where a piece lies in a sound, and how well it fits, up to 1."""
    from scipy.signal import fftconvolve

    products = fftconvolve(whole, piece[::-1], "valid")
    energy = np.sqrt(np.maximum(fftconvolve(whole**2, np.ones(len(piece)), "valid"), 1e-6) * np.sum(piece**2))
    fit = products / energy
    best = int(np.argmax(fit))
    return best, float(fit[best])


def memory() -> float:
    """Megabytes of this process."""
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
