"""What one person's adapter is worth: the meters without it and with it, on footage that it was not trained on.

    python scripts/bench/adapter.py FOOTAGE... --adapter FILE --out DIR [--model nano]

FOOTAGE are videos of that person, with the sound in them or beside them (.flac, .wav). They are cut into pieces of 3 s,
and dubbed with the own sound and with the next piece's. Prints a table and writes contact sheets, of real people too,
into --out: keep them out of the repository.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import numpy as np
from nano import SAMPLES, Bench, Person
from nano_scores import SENTENCE, markdown, rows_of

from musetalk_core.audio.read import read_audio
from musetalk_core.cli import stages
from musetalk_core.types import AudioClip
from musetalk_core.video.read import open_footage


def read_person(bench: Bench, videos: list[Path]) -> Person:
    """All whole pieces of 3 s of some videos of 25 frames a second."""
    frames, samples = [], []
    for video in videos:
        footage = open_footage(video)
        beside = [video.with_suffix(suffix) for suffix in (".flac", ".wav") if video.with_suffix(suffix).is_file()]
        pieces = len(footage.clock) // SENTENCE
        frames.append(footage.read(range(pieces * SENTENCE)))
        samples.append(np.resize(read_audio(beside[0] if beside else video).samples, pieces * SAMPLES))
    return bench.person("person", np.concatenate(frames), AudioClip(np.concatenate(samples)))


def main() -> None:
    """Measure without the adapter, then with it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("footage", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    stages.add_model(parser)
    parser.set_defaults(face=None, mask=None, released=False, assets=Path())
    args = parser.parse_args()
    if args.adapter is None:
        parser.error("--adapter names no file")
    args.out.mkdir(parents=True, exist_ok=True)
    plain = copy.copy(args)
    plain.adapter = None
    rows = []
    for name, one in (("without", plain), ("with", args)):
        bench = Bench(one)
        rows += rows_of(name, bench.three([read_person(bench, args.footage)], name))
    print(markdown(rows))
    print(f"{args.adapter}: {args.adapter.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
