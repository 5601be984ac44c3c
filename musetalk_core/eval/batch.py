"""Many outputs over one source: measured alike, shown side by side, ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import OptionError
from ..progress import Progress, SilentProgress
from ..types import Footage
from .evaluate import judge
from .reference import Reference
from .report import BY_KEY, Report, show, table

# A score is the mean over these groups, so that many picture metrics do not outvote the few about sync.
GROUPS: Mapping[str, Sequence[str]] = {
    "sync": ("motion.opening_r", "motion.lag_ms", "motion.std_ratio", "probe.r2_at_zero", "probe.peak_ms"),
    "mouth": ("motion.lip_distance", "fidelity.matched_psnr", "region.sharpness", "silence.open_share"),
    "edit": ("region.seam", "region.flicker", "region.colour_shift", "motion.jerk", "region.outside_pixels"),
}
ABOVE_CHANCE = 0.15  # of r or R2; six sentences scatter by 0.03, one by more
LEAST_MOTION = 0.2  # deviation of the opening over the truth's; a frozen mouth has 0.02
SAME = 1e-9  # values that differ by less share a rank


@dataclass(frozen=True, slots=True)
class Ranked:
    """One output's place.

    Args:
        name: of the output.
        speaks: its mouth follows the sound better than chance; outputs that do not come after all that do, because
            footage that nobody touched has the best picture.
        score: mean rank over the groups; 1 is best in everything.
        groups: mean rank in each group that could be measured.
    """

    name: str
    speaks: bool
    score: float
    groups: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Many outputs over one source.

    Args:
        reports: by name, in the order given.
        ranking: best first.
    """

    reports: Mapping[str, Report]
    ranking: Sequence[Ranked]

    def as_dict(self) -> dict[str, Any]:
        """Plain lists, dicts, numbers and words, ready for JSON."""
        ranking = [
            {"name": r.name, "speaks": r.speaks, "score": r.score, "groups": dict(r.groups)} for r in self.ranking
        ]
        return {"ranking": ranking, "reports": {name: report.as_dict() for name, report in self.reports.items()}}

    def table(self) -> str:
        """All metrics side by side, and the ranking, for reading."""
        lines = [table(self.reports), "", "rank  output  (mean rank; by group)"]
        for place, ranked in enumerate(self.ranking, 1):
            groups = ", ".join(f"{name} {show(value)}" for name, value in ranked.groups.items())
            silent = "" if ranked.speaks else "; does not follow the sound"
            lines.append(f"{place:4d}  {ranked.name}  ({show(ranked.score)}; {groups}{silent})")
        return "\n".join(lines)


def compare(reference: Reference, outputs: Mapping[str, Footage], progress: Progress | None = None) -> Comparison:
    """Measure and rank many outputs.

    Args:
        reference: what `evaluate.prepare` made of source, sound and truth.
        outputs: footage by name.
        progress: reports and cancels.

    Raises:
        OptionError: there is no output.
        MuseTalkError: as `evaluate`.
    """
    if not outputs:
        raise OptionError("There is no output to compare.", "Give at least one.")
    reports = {name: judge(reference, output, progress or SilentProgress()) for name, output in outputs.items()}
    return Comparison(reports, rank(reports))


def rank(reports: Mapping[str, Report]) -> list[Ranked]:
    """Outputs from best to worst.

    Each metric ranks the outputs; equal values share their mean rank, and an output without a value comes last, because
    a mouth that does not move has no lag. Metrics that no output has are left out.
    """
    places: dict[str, dict[str, float]] = {name: {} for name in reports}
    for group, keys in GROUPS.items():
        ranks = [one for key in keys if (one := _ranks(key, reports)) is not None]
        if ranks:
            for name, place in zip(reports, np.mean(ranks, 0), strict=True):
                places[name][group] = float(place)
    ranked = [
        Ranked(name, speaks(reports[name]), float(np.mean(list(groups.values()))), groups)
        for name, groups in places.items()
    ]
    return sorted(ranked, key=lambda one: (not one.speaks, one.score))


def speaks(report: Report) -> bool:
    """Whether the mouth follows the sound better than chance, by the truth or else by the probe; True when unknown."""
    motion, dub, probe = report.motion, report.dub, report.probe
    if motion.std_ratio is not None:
        if motion.std_ratio < LEAST_MOTION or dub is None or dub.dub is None:
            return False
        return dub.chance is None or dub.dub.mean > dub.chance.mean + ABOVE_CHANCE
    return probe is None or probe.r2_at_zero > max(0.0, probe.chance) + ABOVE_CHANCE


def _ranks(key: str, reports: Mapping[str, Report]) -> np.ndarray | None:
    """Each output's rank by one metric, (outputs,); None when no output has it."""
    metric = BY_KEY[key]
    values = [metric.read(report) for report in reports.values()]
    if all(value is None for value in values):
        return None
    bad = np.array([np.inf if value is None else metric.badness(value) for value in values])
    better = (bad[None] < bad[:, None] - SAME).sum(1)
    with np.errstate(invalid="ignore"):
        equal = ((np.abs(bad[None] - bad[:, None]) <= SAME) | (bad[None] == bad[:, None])).sum(1)
    return np.asarray(better + (equal + 1) / 2)
