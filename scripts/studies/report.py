"""Tables and plots of the studies that `run.py` has run.

    python scripts/studies/report.py DIR [--plots docs/images]

DIR is the studies' --out. A figure is the mean over held-out clips and seeds. "by" is how much a cell differs from the
first of its study on the same clips and seeds, with a 95 % interval from drawing clips and seeds anew (bootstrap).
Needs matplotlib for the plots.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from cells import REFERENCE, SYNC, syncnet_name

FIGURES = ("dub", "chance", "leak", "deviation", "detail", "psnr", "gain")
PLOTTED = {
    "dub": "mouth follows the new sound (r)",
    "leak": "mouth follows the old picture (r)",
    "deviation": "movement over the truth's",
    "psnr": "mouth, from another frame (dB)",
}
DRAWS = 4000
INK = "#c2410c"
Values = np.ndarray  # (seeds, clips), NaN where unknown


def main() -> None:
    """Print the tables of the cells that are there; draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--plots", type=Path, help="folder for study_reference.png and study_sync.png")
    args = parser.parse_args()
    controls = json.loads((args.folder / "controls.json").read_text(encoding="utf-8"))
    fixed = {name: {figure: values([rows], figure) for figure in FIGURES} for name, rows in controls.items()}
    for study, names in {"reference": REFERENCE, "sync": SYNC}.items():
        cells = {name: read(args.folder / study, name) for name in names}
        known = {name: cell for name, cell in cells.items() if cell}
        if not known:
            continue
        print(f"## {study}\n")
        print(markdown(rows(fixed, known)))
        if args.plots:
            args.plots.mkdir(parents=True, exist_ok=True)
            draw(known, fixed, args.plots / f"study_{study}.png")
    judges = dict.fromkeys(syncnet_name(frames, region) for frames, _, region in SYNC.values() if region)
    paths = {name: args.folder / "syncnets" / name / "scores.json" for name in judges}
    found = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.exists()}
    if found:
        print("## SyncNets, on the held-out people\n")
        lines = [[name, f"{one['loss']:.3f}", f"{100 * one['right']:.0f} %"] for name, one in found.items()]
        print(markdown([["sees", "loss", "right"], *lines]))


def read(folder: Path, name: str) -> dict[str, Values]:
    """All seeds of a cell, by figure; empty when none is done."""
    paths = sorted(folder.glob(f"{name}-*/scores.json"))
    seeds = [path for path in paths if path.parent.name.removeprefix(f"{name}-").isdigit()]
    found = [json.loads(path.read_text(encoding="utf-8")) for path in seeds]
    return {figure: values(found, figure) for figure in FIGURES} if found else {}


def values(runs: list[list[dict[str, Any]]], figure: str) -> Values:
    """One figure of some runs."""
    return np.array([[np.nan if clip[figure] is None else clip[figure] for clip in run] for run in runs], float)


def rows(fixed: dict[str, dict[str, Values]], cells: dict[str, dict[str, Values]]) -> list[list[str]]:
    """A head, the controls, and the cells."""
    first = next(iter(cells.values()))
    head = ["", *FIGURES, *(f"{figure}, by" for figure in PLOTTED)]
    found = [[name, *(shown(cell[figure]) for figure in FIGURES), *[""] * len(PLOTTED)] for name, cell in fixed.items()]
    for name, cell in cells.items():
        apart = [difference(cell[figure], first[figure]) if cell is not first else "" for figure in PLOTTED]
        found.append([name, *(shown(cell[figure]) for figure in FIGURES), *apart])
    return [head, *found]


def markdown(lines: list[list[str]]) -> str:
    """A table whose first line is its head."""
    head, *rest = lines
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rest]) + "\n"


def shown(found: Values) -> str:
    """The mean of what is known."""
    known = found[np.isfinite(found)]
    return f"{known.mean():.3g}" if len(known) else "-"


def difference(cell: Values, first: Values) -> str:
    """Mean difference and its interval."""
    seeds = min(len(cell), len(first))
    apart = cell[:seeds] - first[:seeds]
    low, high = interval(apart)
    return f"{np.nanmean(apart):+.2f} ({low:+.2f} to {high:+.2f})"


def interval(found: Values) -> tuple[float, float]:
    """95 % of the means of clips and seeds that are drawn anew."""
    random = np.random.default_rng(0)
    seeds, clips = found.shape
    means = [
        np.nanmean(found[np.ix_(random.integers(seeds, size=seeds), random.integers(clips, size=clips))])
        for _ in range(DRAWS)
    ]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def draw(cells: dict[str, dict[str, Values]], fixed: dict[str, dict[str, Values]], path: Path) -> None:
    """Each cell's seeds as points, the mean's interval as a bar, the controls as lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4 * len(PLOTTED), 3.2), layout="constrained")
    for place, (name, title) in zip(figure.subplots(1, len(PLOTTED)), PLOTTED.items(), strict=True):
        for row, cell in enumerate(cells.values()):
            low, high = interval(cell[name])
            place.plot([low, high], [row, row], color=INK, alpha=0.35, linewidth=5, solid_capstyle="round")
            place.plot(np.nanmean(cell[name], axis=1), [row] * len(cell[name]), "o", color=INK, markersize=5)
        for style, (control, scores) in zip((":", "-.", "--"), list(fixed.items())[1:], strict=False):
            place.axvline(float(np.nanmean(scores[name])), color="#6b7280", linestyle=style, linewidth=1, label=control)
        place.set_yticks(
            range(len(cells)), list(cells) if place.get_subplotspec().is_first_col() else [""] * len(cells)
        )
        place.invert_yaxis()
        place.set_title(title, fontsize=10)
        place.spines[["top", "right"]].set_visible(False)
    figure.legend(*place.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
