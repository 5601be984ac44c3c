"""The result of an evaluation: typed numbers, what each one means, a table to read, and JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .curves import DubScores, Spread
from .fidelity import Fidelity
from .probe import ProbeResult
from .region import RegionScores
from .silence import Silence

Better = Literal["higher", "lower", "zero", "one"]
MISSING = "-"


@dataclass(frozen=True, slots=True)
class Motion:
    """How the output's mouth moves beside the true one; every field but the last three needs a truth.

    Args:
        opening_r, width_r: correlation of the mouth's opening and width with the truth's.
        lag_frames, lag_ms: by how much the output's opening is late; None when nothing correlates.
        lag_r: correlation at that lag.
        std_ratio: deviation of the opening, output over truth; 0 is a frozen mouth.
        lip_distance: mean distance of lip points with the noses laid over each other, percent of the face's height.
        opening_std: deviation of the output's opening, percent of the face's height.
        jerk: trembling of the mouth's place in the face, as the size of a white jitter, percent of the face's height.
        jerk_source: the same of the source: the control.
    """

    opening_r: float | None
    width_r: float | None
    lag_frames: float | None
    lag_ms: float | None
    lag_r: float | None
    std_ratio: float | None
    lip_distance: float | None
    opening_std: float | None
    jerk: float | None
    jerk_source: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Traces:
    """What was measured on every frame, (F,) each, NaN where unknown: for plots and for finding the worst frames.

    Args:
        opening, width: of the output.
        truth_opening: of the truth; None without one.
        source_opening: of the source frames shown.
        silent: bool; None without a sound.
        lip_distance: percent of the face's height; None without a truth.
        l1: colour-matched, grey levels; None when pixels were not compared.
        seam, flicker: grey levels.
    """

    opening: np.ndarray
    width: np.ndarray
    truth_opening: np.ndarray | None
    source_opening: np.ndarray
    silent: np.ndarray | None
    lip_distance: np.ndarray | None
    l1: np.ndarray | None
    seam: np.ndarray
    flicker: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """Everything that was measured on one output.

    Args:
        frames: output frames F.
        fps: average frames a second.
        found: share of the output's frames with a face.
        fidelity: pixels of the mouth against the truth's.
        motion: the mouth's curves.
        dub: new sound against old mouth against chance.
        probe: does the sound predict the mouth.
        silence: of the output.
        silence_truth: of the truth, the control.
        region: traces of the edit.
        external: results of networks that the user supplied, by name.
        notes: why something is missing or to be read with care.
        traces: values per frame.
    """

    frames: int
    fps: float
    found: float
    fidelity: Fidelity | None
    motion: Motion
    dub: DubScores | None
    probe: ProbeResult | None
    silence: Silence | None
    silence_truth: Silence | None
    region: RegionScores
    external: Mapping[str, float]
    notes: Sequence[str]
    traces: Traces

    def values(self) -> dict[str, float | None]:
        """Every metric's number by its key, in the table's order; None where it could not be measured."""
        return {metric.key: metric.read(self) for metric in METRICS}

    def as_dict(self) -> dict[str, Any]:
        """Plain lists, dicts, numbers and words, ready for JSON; NaN becomes null."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a report.

    Args:
        key: path to it: "motion.opening_r".
        title: words for the table.
        unit: of the number; empty for a ratio or a correlation.
        better: which way is better: "higher", "lower", nearer to "zero" or to "one".
    """

    key: str
    title: str
    unit: str
    better: Better

    def read(self, report: Report) -> float | None:
        """This number of a report."""
        section, _, name = self.key.partition(".")
        holder = getattr(report, section)
        value: float | Spread | None = holder
        if name:
            value = holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)
        value = value.mean if isinstance(value, Spread) else value
        return None if value is None else float(value)

    def badness(self, value: float) -> float:
        """A number that is smaller for a better value, to rank by."""
        if self.better == "higher":
            return -value
        if self.better == "lower":
            return value
        if self.better == "zero":
            return abs(value)
        return abs(math.log(max(value, 1e-6)))


METRICS = (
    Metric("motion.opening_r", "opening r with the truth", "", "higher"),
    Metric("motion.width_r", "width r with the truth", "", "higher"),
    Metric("motion.lag_ms", "lag behind the truth", "ms", "zero"),
    Metric("motion.lag_frames", "lag behind the truth", "frames", "zero"),
    Metric("motion.std_ratio", "opening deviation / truth", "", "one"),
    Metric("motion.opening_std", "opening deviation", "% face", "higher"),
    Metric("motion.lip_distance", "lip landmark distance", "% face", "lower"),
    Metric("dub.dub", "dub r (mouth of the sound)", "", "higher"),
    Metric("dub.chance", "chance r (shuffled sound)", "", "zero"),
    Metric("dub.leak", "leak r (source's own mouth)", "", "lower"),
    Metric("probe.r2_at_zero", "sync probe R2", "", "higher"),
    Metric("probe.peak_ms", "sync probe peak", "ms", "zero"),
    Metric("probe.chance", "sync probe R2, sound turned", "", "zero"),
    Metric("silence.open_share", "open in silence", "share", "lower"),
    Metric("silence_truth.open_share", "open in silence, truth", "share", "lower"),
    Metric("fidelity.l1", "mouth L1", "levels", "lower"),
    Metric("fidelity.psnr", "mouth PSNR", "dB", "higher"),
    Metric("fidelity.ssim", "mouth SSIM", "", "higher"),
    Metric("fidelity.matched_l1", "mouth L1, colour-matched", "levels", "lower"),
    Metric("fidelity.matched_psnr", "mouth PSNR, colour-matched", "dB", "higher"),
    Metric("fidelity.matched_ssim", "mouth SSIM, colour-matched", "", "higher"),
    Metric("region.sharpness", "sharpness / source", "", "one"),
    Metric("region.seam", "seam", "levels", "lower"),
    Metric("region.flicker", "residual flicker", "levels", "lower"),
    Metric("region.colour_shift", "colour shift", "Delta E", "lower"),
    Metric("motion.jerk", "mouth box jerk", "% face", "lower"),
    Metric("motion.jerk_source", "mouth box jerk, source", "% face", "lower"),
    Metric("region.outside_pixels", "pixels changed outside", "pixels", "lower"),
    Metric("region.outside_most", "largest change outside", "levels", "lower"),
    Metric("external.lse_d", "LSE-D", "", "lower"),
    Metric("external.lse_c", "LSE-C", "", "higher"),
    Metric("external.csim", "CSIM", "", "higher"),
    Metric("external.fid", "FID", "", "lower"),
    Metric("external.lpips", "LPIPS", "", "lower"),
    Metric("found", "frames with a face", "share", "higher"),
)
BY_KEY: Mapping[str, Metric] = {metric.key: metric for metric in METRICS}
ARROWS: Mapping[Better, str] = {"higher": "higher", "lower": "lower", "zero": "near 0", "one": "near 1"}


def table(reports: Mapping[str, Report], keys: Sequence[str] | None = None) -> str:
    """A table of one line a metric and one column an output, for reading.

    Args:
        reports: by the name that heads the column.
        keys: metrics to show; None shows those that any report has.
    """
    shown = [BY_KEY[key] for key in keys] if keys is not None else list(METRICS)
    rows = [["metric", "better", *reports]]
    for metric in shown:
        values = [metric.read(report) for report in reports.values()]
        if keys is None and all(value is None for value in values):
            continue
        name = f"{metric.title} ({metric.unit})" if metric.unit else metric.title
        rows.append([name, ARROWS[metric.better], *(show(value) for value in values)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        words = [row[0].ljust(widths[0]), row[1].ljust(widths[1])]
        words += [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join(words).rstrip())
    for name, report in reports.items():
        lines += [f"note, {name}: {note}" for note in report.notes]
    return "\n".join(lines)


def show(value: float | None) -> str:
    """A number with three significant digits, whole numbers as they are."""
    if value is None or math.isnan(value):
        return MISSING
    if value == round(value) and abs(value) < 1e9:
        return str(round(value))
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | bool | int) or value is None:
        return value
    return [_plain(item) for item in value]
