"""Statistics of mouth curves: do two mouths move alike, how late is one, and is it more than chance?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import OptionError

LEAST_FRAMES = 8  # fewer common frames say nothing about a correlation
FLAT = 1e-6  # a curve whose deviation is smaller does not move (face heights)
CHANCE_SHIFT = 1.0  # seconds; a curve moved by at least this much no longer knows what is said
CHANCE_SAMPLES = 60  # shifts that the chance level is averaged over


@dataclass(frozen=True, slots=True)
class Lag:
    """Where two curves fit best.

    Args:
        frames: by how many frames the first curve is late; fractions come from a parabola through the peak.
        r: correlation at the peak.
        edge: the best fit lies at the end of the searched range, so the true lag may be larger.
    """

    frames: float
    r: float
    edge: bool


@dataclass(frozen=True, slots=True)
class Spread:
    """A mean over several sentences or trials, how far they scatter, and how many there were."""

    mean: float
    sd: float
    count: int


def correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    """Pearson's r over the frames where both curves are known; None when there are too few or one does not move."""
    known = np.isfinite(first) & np.isfinite(second)
    if known.sum() < LEAST_FRAMES:
        return None
    a, b = first[known] - first[known].mean(), second[known] - second[known].mean()
    if min(a.std(), b.std()) < FLAT:
        return None
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def deviation_ratio(output: np.ndarray, truth: np.ndarray) -> float | None:
    """Standard deviation of the output's curve over the truth's; 0 is a frozen mouth. None when the truth is still."""
    known = np.isfinite(output) & np.isfinite(truth)
    if known.sum() < LEAST_FRAMES or truth[known].std() < FLAT:
        return None
    return float(output[known].std() / truth[known].std())


def find_lag(output: np.ndarray, truth: np.ndarray, most: int) -> Lag | None:
    """By how many frames the output's curve comes late.

    Args:
        output, truth: (F,) curves, NaN where unknown.
        most: largest lag searched, in frames, both ways.

    Returns:
        None when no correlation is defined or none is positive.
    """
    frames = len(output)
    lags = list(range(-most, most + 1))
    scores = np.full(len(lags), -1.0)
    for k, lag in enumerate(lags):
        a = output[max(0, lag) : frames + min(0, lag)]
        b = truth[max(0, -lag) : frames - max(0, lag)]
        r = correlation(a, b)
        scores[k] = -1.0 if r is None else r
    best = int(scores.argmax())
    if scores[best] <= 0:
        return None
    return Lag(lags[best] + vertex(scores, best), float(scores[best]), best in (0, len(lags) - 1))


def vertex(scores: np.ndarray, best: int) -> float:
    """Where between its neighbours a sampled peak really lies, in samples from `best`: the parabola through three."""
    if not 0 < best < len(scores) - 1:
        return 0.0
    left, middle, right = scores[best - 1 : best + 2]
    bend = left - 2 * middle + right
    return float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def chance_level(output: np.ndarray, truth: np.ndarray, fps: float) -> Spread | None:
    """The correlation that the output would reach with the sound shuffled: against the truth turned in time.

    One clip gives no other sentences; the truth's curve is moved round by at least a second instead.

    Args:
        output, truth: (F,) curves.
        fps: frames a second.

    Returns:
        None when the clip is too short to be moved by a second both ways.
    """
    least = round(CHANCE_SHIFT * fps)
    if len(truth) < 3 * least:
        return None
    shifts = np.unique(np.linspace(least, len(truth) - least, CHANCE_SAMPLES).round().astype(int))
    return spread([correlation(output, np.roll(truth, int(shift))) for shift in shifts])


def spread(values: Sequence[float | None]) -> Spread | None:
    """Mean, deviation and number of the values that are known; None when none is."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(float(np.mean(known)), float(np.std(known)), len(known))


@dataclass(frozen=True, slots=True)
class DubScores:
    """Does the mouth follow the new sound, the old mouth, or only the rhythm that all sentences share?

    Args:
        dub: r of each output against the true mouth of its sound.
        chance: r of each output against the true mouths of the other sounds (as if the sound had been shuffled).
        leak: r of each output against the source's own mouth; above `chance` the old mouth shines through.
    """

    dub: Spread | None
    chance: Spread | None
    leak: Spread | None


def dub_scores(
    outputs: Sequence[np.ndarray], truths: Sequence[np.ndarray], sources: Sequence[np.ndarray] | None
) -> DubScores:
    """Judge a set of dubbed sentences.

    Args:
        outputs: opening curves of the dubbed sentences.
        truths: opening curves of real footage of each sentence's sound.
        sources: opening curves of the footage that was dubbed; None when it is the truth itself.

    Raises:
        OptionError: the sets differ in size.
    """
    if len(outputs) != len(truths) or (sources is not None and len(sources) != len(outputs)):
        raise OptionError("Outputs, truths and sources differ in number.", "Give one of each for every sentence.")
    pairs = [(i, j) for i in range(len(outputs)) for j in range(len(truths)) if i != j]
    return DubScores(
        dub=spread([_common(a, b) for a, b in zip(outputs, truths, strict=True)]),
        chance=spread([_common(outputs[i], truths[j]) for i, j in pairs]),
        leak=None if sources is None else spread([_common(a, b) for a, b in zip(outputs, sources, strict=True)]),
    )


def _common(first: np.ndarray, second: np.ndarray) -> float | None:
    frames = min(len(first), len(second))
    return correlation(first[:frames], second[:frames])
