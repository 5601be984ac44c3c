"""Pictures of an evaluation: the mouths' curves over each other, the probe's lag curve, and the worst frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import MediaError, OptionError
from .mouth import mouth_windows
from .pixels import resize
from .reference import Reference, source_frames
from .region import levels
from .report import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..types import Footage

WORST = 8  # frames in the strip
APART = 0.4  # seconds between two frames of the strip: neighbours show the same fault
TILE = 160  # pixels of one mouth in the strip
CURVE_SECONDS = 10.0  # of a row of the curve plot
MOST_ROWS = 8  # rows of the curve plot; a longer clip shows its worst parts' rows only up to here
INK, TRUE_INK, OLD_INK = "#c2410c", "#1d4ed8", "#9ca3af"


def write_plots(report: Report, reference: Reference, output: Footage, folder: Path) -> list[Path]:
    """Draw the plots of one output as PNG files.

    Args:
        report: of this output.
        reference: what it was measured against.
        output: the video itself, for the strips.
        folder: where `curves.png`, `lag.png` and `worst.png` go; made when missing.

    Returns:
        The files written; `lag.png` needs a sound.

    Raises:
        OptionError: matplotlib is not installed.
        MediaError: the folder cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise OptionError("Plots need matplotlib.", "pip install matplotlib, or leave --plots out.") from error
    figures = {"curves.png": _curves(report, Figure), "worst.png": _worst(report, reference, output, Figure)}
    if report.probe is not None:
        figures["lag.png"] = _lag(report, Figure)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            figure.savefig(folder / name, dpi=100)
    except OSError as error:
        raise MediaError(f"The plots cannot be written to {folder}: {error}", "Choose another folder.") from error
    return [folder / name for name in figures]


def _curves(report: Report, figure: type[Figure]) -> Figure:
    """Opening over time, a row each ten seconds: output, truth, source; silence is shaded."""
    traces, fps = report.traces, report.fps
    per_row = max(1, round(CURVE_SECONDS * fps))
    rows = min(MOST_ROWS, -(-report.frames // per_row))
    result = figure(figsize=(14, 1.0 + 1.9 * rows), layout="constrained")
    axes = result.subplots(rows, 1, sharey=True, squeeze=False)[:, 0]
    seconds = np.arange(report.frames) / fps
    curves = [("source", traces.source_opening, OLD_INK, 1.0), ("truth", traces.truth_opening, TRUE_INK, 1.4)]
    if traces.truth_opening is not None and np.array_equal(traces.truth_opening, traces.source_opening, equal_nan=True):
        curves = curves[1:]
    for row, axis in enumerate(axes):
        part = slice(row * per_row, (row + 1) * per_row)
        if traces.silent is not None:
            axis.fill_between(
                seconds[part],
                0,
                1,
                where=traces.silent[part],
                transform=axis.get_xaxis_transform(),
                color="#fde68a",
                alpha=0.5,
                linewidth=0,
                label="silence",
            )
        for name, curve, ink, width in [*curves, ("output", traces.opening, INK, 1.4)]:
            if curve is not None:
                axis.plot(seconds[part], 100 * curve[part], color=ink, linewidth=width, label=name)
        axis.set_xlim(seconds[part][0], seconds[part][0] + per_row / fps)
        axis.set_ylabel("% of face")
        axis.grid(alpha=0.3)
    axes[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, fontsize=8, frameon=False)
    axes[-1].set_xlabel("seconds")
    shown = "" if rows * per_row >= report.frames else f" (first {rows * CURVE_SECONDS:.0f} s)"
    result.suptitle(f"mouth opening{shown}")
    return result


def _lag(report: Report, figure: type[Figure]) -> Figure:
    """How well the sound predicts the mouth at each shift."""
    result = figure(figsize=(7, 4), layout="constrained")
    axis, probe = result.subplots(), report.probe
    if probe is None:
        return result
    axis.plot(probe.shifts_ms, probe.r2, color=INK, marker="o", markersize=3, label="output")
    axis.axhline(probe.chance, color=OLD_INK, linestyle="--", label="sound turned (chance)")
    axis.axvline(0, color="black", linewidth=0.8)
    if probe.peak_ms is not None:
        axis.axvline(probe.peak_ms, color=TRUE_INK, linestyle=":", label=f"peak {probe.peak_ms:+.0f} ms")
    axis.set_ylim(min(-0.1, float(probe.r2.min())), max(0.8, float(probe.r2.max()) + 0.05))
    axis.set_xlabel("sound later than the mouth by (ms)")
    axis.set_ylabel("cross-validated R2")
    axis.set_title(f"sync probe, {probe.frames} frames")
    axis.grid(alpha=0.3)
    axis.legend(loc="upper right", fontsize=8)
    return result


def _worst(report: Report, reference: Reference, output: Footage, figure: type[Figure]) -> Figure:
    """The frames with the largest fault, each as a column: source, output, truth."""
    name, fault = _fault(report)
    source_of, _ = source_frames(reference, output)
    chosen = _peaks(fault, max(1, round(APART * report.fps)))
    truth = reference.truth
    names = ["source", "output"] + (["truth"] if report.traces.l1 is not None else [])
    windows = mouth_windows(reference.source.track)
    result = figure(figsize=(1.0 + 1.65 * max(1, len(chosen)), 0.8 + 1.75 * len(names)), layout="constrained")
    axes = result.subplots(len(names), max(1, len(chosen)), squeeze=False)
    for column, index in enumerate(chosen):
        n = int(source_of[index])
        pictures = [(reference.source.footage, n, windows[n]), (output, index, windows[n])]
        if truth is not None and len(names) > len(pictures) and index < len(truth.track):
            pictures.append((truth.footage, index, mouth_windows(truth.track)[index]))
        for row, (footage, frame, (x1, y1, x2, y2)) in enumerate(pictures):
            mouth = levels(footage.read([frame])[0][y1:y2, x1:x2])
            axes[row, column].imshow(resize(mouth, TILE, TILE))
        axes[0, column].set_title(f"{index / report.fps:.2f} s\n{fault[index]:.2g}", fontsize=8)
    for axis in axes.ravel():
        axis.set_xticks([])
        axis.set_yticks([])
    for row, word in enumerate(names):
        axes[row, 0].set_ylabel(word)
    result.suptitle(f"worst frames by {name}", fontsize=10)
    return result


def _fault(report: Report) -> tuple[str, np.ndarray]:
    """What the strip is sorted by: the strictest measure there is."""
    traces = report.traces
    if traces.l1 is not None:
        return "mouth L1 after colour matching (levels)", traces.l1
    if traces.lip_distance is not None and np.isfinite(traces.lip_distance).any():
        return "lip distance to the truth (% of face)", traces.lip_distance
    return "residual flicker (levels)", traces.flicker


def _peaks(fault: np.ndarray, apart: int) -> list[int]:
    """The largest values that lie at least `apart` frames from each other, in order of time."""
    left = np.where(np.isfinite(fault), fault, -np.inf)
    chosen: list[int] = []
    while len(chosen) < WORST and np.isfinite(left).any():
        best = int(left.argmax())
        chosen.append(best)
        left[max(0, best - apart + 1) : best + apart] = -np.inf
    return sorted(chosen)
