"""The sync probe: how well does the sound predict the mouth, and at which shift best? It needs no network and no truth.

A ridge regression from a short piece of sound to the mouth's opening is trained on part of the clip and judged on the
rest. Real speech reaches an R2 of about 0.5 to 0.6, best without a shift; a mouth that ignores the sound gets about 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..audio.mel import PROBE_MEL, mel_levels
from ..errors import MediaError
from ..timeline import Clock
from ..types import AudioClip
from .curves import FLAT, correlation

REACH = 6  # rows of 10 ms on each side that the regression hears: +-60 ms, about a phone
COMPONENTS = 24  # principal components of those rows that are kept
RANGE_DB = 70.0  # levels further below the loudest are as good as silence
RIDGE = 0.01  # weight penalty per frame, on features of deviation 1
BLOCK_SECONDS = 3.0  # frames are left out by blocks: neighbours tell each other's opening
MOST_FOLDS = 10
STEP_MS = 20
SHIFTS_MS = tuple(range(-280, 281, STEP_MS))
LEAST_SECONDS = 6.0  # two blocks
TOP = 0.3  # share of the rise from the lowest to the highest score that counts as the top
LEAST_R2 = 0.1  # a lower peak is noise: no lag is read from it
LEAST_R = 0.3  # the same for a single clip's correlation
LEAST_CLIPS = 3
SHUFFLES = (0.31, 0.5, 0.69)  # shares of the clip by which the sound is turned for the chance level
PIECE = 4096  # rows taken at a time when the components are computed


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A mouth and the sound that belongs to it.

    Args:
        opening: (F,) opening curve, NaN where no face was found.
        clock: times of the F frames.
        sound: begins with the first frame.
    """

    opening: np.ndarray
    clock: Clock
    sound: AudioClip


@dataclass(frozen=True, slots=True, eq=False)
class ProbeResult:
    """How well the sound predicts the mouth.

    Args:
        shifts_ms: (29,) by how much later than the mouth the sound was taken.
        r2: (29,) cross-validated share of the opening's variance that is predicted; may be negative.
        r2_at_zero: without a shift.
        peak_r2: at the best shift.
        peak_ms: the best shift: positive when the sound comes after the mouth. None when no shift predicts anything.
        chance: R2 with the sound turned by about a half of the clip.
        frames: number of frames judged.
    """

    shifts_ms: np.ndarray
    r2: np.ndarray
    r2_at_zero: float
    peak_r2: float
    peak_ms: float | None
    chance: float
    frames: int


def sync_probe(recordings: Sequence[Recording]) -> ProbeResult | None:
    """Judge how well the sound predicts the mouth's opening, pooled over recordings of one speaker.

    Args:
        recordings: one or more; the regression is one for all.

    Returns:
        None when there are less than six seconds of frames with a face, or the mouth does not move.

    Raises:
        MediaError: there is no recording.
    """
    if not recordings:
        raise MediaError("The sync probe got no recording.")
    seconds = [_centres(recording.clock)[: len(recording.opening)] for recording in recordings]
    opening = np.concatenate([recording.opening for recording in recordings])
    known = np.isfinite(opening)
    fps = float(recordings[0].clock.fps)
    if known.sum() < LEAST_SECONDS * fps or opening[known].std() < FLAT:
        return None
    blocks = _blocks(seconds)[known]
    heard = _components([recording.sound for recording in recordings])

    def judge(shift: float, turn: float = 0.0) -> float:
        rows = [_rows(h, times, shift, turn) for h, times in zip(heard, seconds, strict=True)]
        return _cross_validated(np.concatenate(rows)[known], opening[known], blocks)

    r2 = np.array([judge(shift / 1000) for shift in SHIFTS_MS])
    best = int(r2.argmax())
    peak_ms = _peak(r2, best) if r2[best] >= LEAST_R2 else None
    chance = float(np.mean([judge(0.0, turn) for turn in SHUFFLES]))
    zero = float(r2[SHIFTS_MS.index(0)])
    return ProbeResult(np.array(SHIFTS_MS), r2, zero, float(r2[best]), peak_ms, chance, int(known.sum()))


def clip_lags(recordings: Sequence[Recording]) -> list[float | None]:
    """The shift of each of many short clips, told by a regression that learned from all the others.

    Clips of a few seconds are too short for a probe of their own. The others must be in sync on the whole.

    Args:
        recordings: three clips or more.

    Returns:
        For each clip, by how many milliseconds its sound comes after its mouth; None when nothing correlates.

    Raises:
        MediaError: fewer than three recordings.
    """
    if len(recordings) < LEAST_CLIPS:
        raise MediaError(f"{len(recordings)} clips are too few to learn from.", f"Give at least {LEAST_CLIPS}.")
    heard = _components([recording.sound for recording in recordings])
    squares, products, known, times = [], [], [], []
    for recording, rows in zip(recordings, heard, strict=True):
        known.append(np.isfinite(recording.opening))
        times.append(_centres(recording.clock)[: len(recording.opening)][known[-1]])
        wide = _with_mean(_rows(rows, times[-1], 0.0, 0.0))
        squares.append(wide.T @ wide)
        products.append(wide.T @ recording.opening[known[-1]])
    square, product = np.sum(squares, 0), np.sum(products, 0)
    lags: list[float | None] = []
    for k, recording in enumerate(recordings):
        weights = _solve(square - squares[k], product - products[k])
        guesses = [_with_mean(_rows(heard[k], times[k], shift / 1000, 0.0)) @ weights for shift in SHIFTS_MS]
        scores = np.array([correlation(guess, recording.opening[known[k]]) or 0.0 for guess in guesses])
        best = int(scores.argmax())
        lags.append(_peak(scores, best) if scores[best] >= LEAST_R else None)
    return lags


def _peak(scores: np.ndarray, best: int) -> float:
    """Milliseconds of the top: the centre of gravity of what rises above `TOP` of it, for the top is flat and noisy."""
    above = scores - (scores[best] - TOP * (scores[best] - scores.min()))
    low = np.flatnonzero(above <= 0)
    first = int(low[low < best].max(initial=-1)) + 1
    last = int(low[low > best].min(initial=len(scores)))
    weight = above[first:last]
    return float(np.array(SHIFTS_MS[first:last]) @ weight / weight.sum())


def _centres(clock: Clock) -> np.ndarray:
    """Seconds at which each frame is half over, (F,) float64."""
    return np.asarray((clock.ticks[:-1] + clock.ticks[1:]) * float(clock.time_base) / 2)


def _blocks(seconds: Sequence[np.ndarray]) -> np.ndarray:
    """Number of each frame's block; a recording starts a new block."""
    numbers, first = [], 0
    for times in seconds:
        own = (times / BLOCK_SECONDS).astype(int)
        numbers.append(first + own)
        first += int(own[-1]) + 1
    return np.concatenate(numbers)


def _components(sounds: Sequence[AudioClip]) -> list[np.ndarray]:
    """Each sound's pieces of +-60 ms as principal components of deviation 1, (rows, 24) float32, every 10 ms."""
    levels = [mel_levels(sound) for sound in sounds]
    floor = max(float(np.percentile(level, 99)) for level in levels) - RANGE_DB
    padded = [np.pad(np.maximum(level, floor), ((REACH, REACH), (0, 0)), constant_values=floor) for level in levels]
    size = (2 * REACH + 1) * PROBE_MEL.bands
    count, total, square = 0, np.zeros(size), np.zeros((size, size))
    for pieces in (piece for level in padded for piece in _stacks(level)):
        wide = pieces.astype(np.float64)
        count += len(wide)
        total += wide.sum(0)
        square += wide.T @ wide
    mean = total / count
    values, vectors = np.linalg.eigh(square / count - np.outer(mean, mean))
    values, vectors = values[-COMPONENTS:], vectors[:, -COMPONENTS:]
    scale = vectors / np.sqrt(np.maximum(values, 1e-6))
    return [
        np.concatenate([((piece - mean) @ scale).astype(np.float32) for piece in _stacks(level)]) for level in padded
    ]


def _stacks(level: np.ndarray) -> Iterator[np.ndarray]:
    """13 neighbouring rows as one, a few thousand at a time: (n, 520)."""
    windows = sliding_window_view(level, 2 * REACH + 1, axis=0)  # (rows, bands, 13), no copy
    for first in range(0, len(windows), PIECE):
        yield windows[first : first + PIECE].reshape(-1, level.shape[1] * (2 * REACH + 1))


def _rows(heard: np.ndarray, seconds: np.ndarray, shift: float, turn: float) -> np.ndarray:
    """What is heard at each frame's time plus the shift; beyond the sound's ends, its first or last row."""
    hops = PROBE_MEL.hop / 16_000
    rows = np.round((seconds + shift) / hops).astype(int)
    if turn:
        return np.asarray(heard[(rows + round(turn * len(heard))) % len(heard)])
    return np.asarray(heard[np.clip(rows, 0, len(heard) - 1)])


def _cross_validated(features: np.ndarray, opening: np.ndarray, blocks: np.ndarray) -> float:
    """R2 of a ridge regression that never saw the block it predicts."""
    used, order = np.unique(blocks, return_inverse=True)
    folds = min(MOST_FOLDS, len(used))
    fold = order % folds
    wide = _with_mean(features)
    error = 0.0
    for k in range(folds):
        seen = fold != k
        weights = _solve(wide[seen].T @ wide[seen], wide[seen].T @ opening[seen])
        error += float(np.sum((opening[~seen] - wide[~seen] @ weights) ** 2))
    return 1 - error / float(np.sum((opening - opening.mean()) ** 2))


def _with_mean(features: np.ndarray) -> np.ndarray:
    """(F, 24) to (F, 25) float64: a column of ones carries the mean."""
    return np.concatenate([features, np.ones((len(features), 1))], 1).astype(np.float64)


def _solve(square: np.ndarray, product: np.ndarray) -> np.ndarray:
    """Ridge weights (25,) from the sums over frames; the mean is not penalised."""
    penalty = RIDGE * square[-1, -1] * np.eye(len(square))
    penalty[-1, -1] = 0
    return np.asarray(np.linalg.solve(square + penalty, product))
