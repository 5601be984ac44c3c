"""The table of `nano.py`: what a set of dubs is worth, by the meters of `musetalk eval`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from musetalk_core.eval.curves import Spread, correlation, deviation_ratio, dub_scores
from musetalk_core.eval.probe import ProbeResult, Recording, sync_probe
from musetalk_core.eval.report import Report, show
from musetalk_core.timeline import Clock
from musetalk_core.types import AudioClip

FPS = Fraction(25)
SENTENCE = 75  # frames: all clips are sentences of 3 s
Row = Mapping[str, Any]  # numbers, NaN where unknown, by column; names under "who" and "sound"


@dataclass(frozen=True, slots=True, eq=False)
class Dub:
    """What became of a person: frames, lips where the source has them, and the true mouth (2, F) of the sound."""

    frames: np.ndarray
    lips: np.ndarray
    report: Report
    sound: AudioClip
    truth: np.ndarray


def rows_of(who: str, dubs: Mapping[str, Sequence[Dub]]) -> list[Row]:
    """A row of the table for each sound, pooled over people."""
    return [{"who": who, "sound": sound, **scores(some)} for sound, some in dubs.items()]


def scores(dubs: Sequence[Dub]) -> Row:
    """Correlations are means over sentences, ratios over people; pixels and probe are pooled."""
    reports = [dub.report for dub in dubs]
    openings = [report.traces.opening for report in reports]
    made, true = sentences(openings), sentences([dub.truth[0] for dub in dubs])
    old = sentences([report.traces.source_opening for report in reports])
    dub = dub_scores(made, true, None if np.array_equal(old, true, equal_nan=True) else old)
    wide = sentences([report.traces.width for report in reports]), sentences([dub.truth[1] for dub in dubs])
    probe, real = heard(dubs, openings), heard(dubs, [dub.truth[0] for dub in dubs])
    errors = [10 ** (-report.fidelity.matched_psnr / 10) for report in reports if report.fidelity is not None]
    return {
        "sentences": len(made),
        "r": number(dub.dub),
        "median r": np.nanmedian([number(correlation(*pair)) for pair in zip(made, true, strict=True)]),
        "chance": number(dub.chance),
        "leak": number(dub.leak),
        "width r": number(dub_scores(*wide, None).dub),
        "std / truth": np.mean([number(deviation_ratio(a, b.truth[0])) for a, b in zip(openings, dubs, strict=True)]),
        "std, % face": np.mean([number(report.motion.opening_std) for report in reports]),
        "R2": number(probe and probe.r2_at_zero),
        "R2 / truth": number(probe and real and probe.r2_at_zero / real.r2_at_zero),
        "peak ms": number(probe and probe.peak_ms),
        "PSNR": -10 * np.log10(np.mean(errors)) if errors else np.nan,  # colour-matched
        "sharpness": np.mean([number(report.region.sharpness) for report in reports]),
        "seen": np.mean([report.found for report in reports]),
    }


def heard(dubs: Sequence[Dub], openings: Sequence[np.ndarray]) -> ProbeResult | None:
    """The sync probe of some mouths beside the sounds of some dubs."""
    pairs = zip(dubs, openings, strict=True)
    return sync_probe([Recording(curve, Clock.regular(len(curve), FPS), dub.sound) for dub, curve in pairs])


def number(value: float | Spread | None) -> float:
    """NaN for what could not be measured."""
    return np.nan if value is None else value.mean if isinstance(value, Spread) else value


def sentences(curves: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Curves (F,) of some people, cut into sentences."""
    return [part for curve in curves for part in np.split(curve, range(SENTENCE, len(curve), SENTENCE))]


def markdown(rows: Sequence[Row]) -> str:
    """A table."""
    cells = [[one if isinstance(one, str) else show(one) for one in row.values()] for row in rows]
    lines = [[*rows[0]], ["---"] * len(rows[0]), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
