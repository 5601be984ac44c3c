"""What a live session reaches on this machine, without codec and browser.

    python scripts/bench/live.py --model MODEL [--seconds 60] [--sizes 512x512 1920x1080] [--chunk 20]

The avatar is a drawn portrait. For each frame size: how many frames a second the session makes when all sound is there,
pulled in this thread, and by a player's workers; then, by the machine's clock and with sound that arrives in chunks as
from a microphone, the intervals between frames, what was late, dropped or repeated, and for words that begin after
silence the time from the arrival of a word's first sample to the moment at which the first frame that says it is handed
over.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from fractions import Fraction

import numpy as np
import torch

from musetalk_core.live.frames import Slot
from musetalk_core.live.pace import Player, RealClock, fitting_workers
from musetalk_core.live.session import LiveOptions, LiveSession
from musetalk_core.models.load import LoadedModel, load_model
from musetalk_core.models.registry import FolderLocator
from musetalk_core.pipeline.avatar import FaceTools, find_faces, make_avatar
from musetalk_core.placement import SingleDevice
from musetalk_core.portraits.footage import portrait_footage
from musetalk_core.video.read import ArrayFootage

FPS = Fraction(25)
RATE = 48_000
LOOP = 10  # drawn frames, shown back and forth
WORD, PAUSE = 1.5, 2.0  # seconds; a pause long enough for the utterance to end


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--sizes", nargs="+", default=["512x512", "1920x1080"])
    parser.add_argument("--chunk", type=float, default=20, help="milliseconds of sound that arrive at once")
    parser.add_argument("--look-ahead", type=int, help="milliseconds beyond the model's own")
    parser.add_argument("--workers", type=int, help="pictures that the player makes at once")
    args = parser.parse_args()
    model = load_model(args.model, FolderLocator(None), SingleDevice(args.device))
    options = LiveOptions() if args.look_ahead is None else LiveOptions(look_ahead=args.look_ahead)
    print(f"{options}, {torch.get_num_threads()} threads")
    for size in args.sizes:
        width, height = map(int, size.split("x"))
        session = begin(model, width, height, options)
        print(f"{size}:", flush=True)
        seconds = min(args.seconds, 20)
        pulled(session, seconds)
        for workers in dict.fromkeys((1, args.workers or fitting_workers(session))):
            asyncio.run(sustained(session, seconds, workers))
        asyncio.run(paced(session, args.seconds, args.chunk / 1000, args.workers))


def begin(model: LoadedModel, width: int, height: int, options: LiveOptions) -> LiveSession:
    """A session of a drawn portrait whose face is about 256 pixels wide."""
    drawn = portrait_footage(3, LOOP / FPS, FPS, width=width, height=height).read(range(LOOP))
    footage, tools = ArrayFootage(drawn, FPS), FaceTools(model.vae, model.recipe)
    avatar = make_avatar(footage, find_faces(footage, tools)[0], tools)
    x1, y1, x2, y2 = avatar.track.boxes[0].tolist()
    started = time.perf_counter()
    session = LiveSession(avatar, footage, model, tools, options)
    print(f"face {x2 - x1} x {y2 - y1} px, made ready in {time.perf_counter() - started:.2f} s")
    return session


def voice(seconds: float) -> np.ndarray:
    """A buzz that swells four times a second."""
    at = np.arange(int(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * 150 * at) * (1 + 0.5 * np.sin(2 * np.pi * 4 * at))).astype(np.float32)


def pulled(session: LiveSession, seconds: float) -> None:
    """All sound at once, frames as fast as this thread makes them."""
    session.push(voice(seconds), RATE)
    session.seconds.clear()
    started, computed, costs = time.perf_counter(), time.process_time(), []
    while (slot := session.slot()) is not None:
        begun = time.perf_counter()
        session.paint(slot)
        costs.append(time.perf_counter() - begun)
    tell("pulled", session, costs, time.perf_counter() - started, time.process_time() - computed)


async def sustained(session: LiveSession, seconds: float, workers: int) -> None:
    """All sound at once, frames as fast as a player's workers make them."""
    clock, free, costs = RealClock(workers), asyncio.Semaphore(workers), []
    await asyncio.gather(*(clock.run(session.warm_up) for _ in range(workers)))
    session.push(voice(seconds), RATE)
    session.seconds.clear()

    async def paint(slot: Slot) -> None:
        begun = time.perf_counter()
        async with hearing:
            mouth = await clock.run(lambda: session.follow(slot))
        await clock.run(lambda: session.draw(slot, mouth))
        costs.append(time.perf_counter() - begun)
        free.release()

    hearing, tasks = asyncio.Lock(), []
    started, computed = time.perf_counter(), time.process_time()
    while (slot := session.slot()) is not None:
        await free.acquire()
        tasks.append(asyncio.create_task(paint(slot)))
    await asyncio.gather(*tasks)
    tell(f"{workers} workers", session, costs, time.perf_counter() - started, time.process_time() - computed)
    clock.close()


def tell(how: str, session: LiveSession, costs: list[float], wall: float, computed: float) -> None:
    """Print what was reached, and make the session silent again."""
    count = len(costs)
    p50, p95, p99 = np.percentile(costs, [50, 95, 99]) * 1000
    print(
        f"  {how}: {count / wall:.1f} frames/s; a picture takes {p50:.1f} / {p95:.1f} / {p99:.1f} ms, "
        f"{1000 * computed / count:.1f} ms of processor time"
    )
    print("    ms by stage: " + ", ".join(f"{stage} {1000 * s / count:.1f}" for stage, s in session.seconds.items()))
    session.interrupt()


async def paced(session: LiveSession, seconds: float, chunk: float, workers: int | None) -> None:
    """By the clock: words with pauses between them, in chunks."""
    player = Player(session, workers=workers)
    arrivals: list[float] = []
    playing = asyncio.Event()

    async def speak() -> None:
        await playing.wait()
        word = voice(WORD)
        size = int(chunk * RATE)
        begin = time.perf_counter()
        while time.perf_counter() - begin < seconds:
            start = time.perf_counter()
            for number, at in enumerate(range(0, len(word), size)):
                # A chunk arrives when its last sample has been recorded.
                await asyncio.sleep(max(0.0, start + (number + 1) * chunk - time.perf_counter()))
                session.push(word[at : at + size], RATE)
                if number == 0:
                    arrivals.append(start)
            await asyncio.sleep(PAUSE)
        session.close()

    speaker = asyncio.create_task(speak())
    times, first = [], []
    silent = True
    async for frame in player:
        playing.set()
        times.append(time.perf_counter())
        if silent and frame.sound.any():
            first.append(times[-1])
        silent = not frame.sound.any()
    await speaker
    gaps = np.diff(times) * 1000
    p50, p95, p99 = np.percentile(gaps, [50, 95, 99])
    print(
        f"  interval {p50:.1f} / {p95:.1f} / {p99:.1f} ms (p50 / p95 / p99) over {len(times)} frames; {player.counters}"
    )
    waits = (np.array(first) - np.array(arrivals[: len(first)])) * 1000
    print(f"  sound to first frame: median {np.median(waits):.0f} ms, p95 {np.percentile(waits, 95):.0f} ms "
          f"of {len(waits)} words")  # fmt: skip


if __name__ == "__main__":
    main()
