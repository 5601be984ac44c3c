"""The studies' report: its figures, and which runs belong to a cell."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

STUDIES = Path(__file__).resolve().parents[2] / "scripts" / "studies"


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(STUDIES))
    return importlib.import_module("report")


def test_a_cell_takes_its_own_seeds_and_nobody_elses(report: ModuleType, tmp_path: Path) -> None:
    for name, dub in (("none-0", 0.5), ("none-1", None), ("none-runs-0", 0.9)):
        (tmp_path / name).mkdir()
        clips = [dict.fromkeys(report.FIGURES, 0.0) | {"dub": dub}] * 3
        (tmp_path / name / "scores.json").write_text(json.dumps(clips), encoding="utf-8")
    cell = report.read(tmp_path, "none")
    assert cell["dub"].shape == (2, 3)
    assert report.shown(cell["dub"]) == "0.5"  # what is unknown is left out
    assert report.read(tmp_path, "lower-1") == {}


def test_a_difference_is_of_the_same_clips(report: ModuleType) -> None:
    clips = np.random.default_rng(0).normal(0, 1, (2, 12))
    assert report.difference(clips + 0.25, clips) == "+0.25 (+0.25 to +0.25)"
    low, high = report.interval(clips)
    assert low < clips.mean() < high
    assert high - low > 0.3  # clips differ, and that is uncertainty
