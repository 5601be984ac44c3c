"""Reports as tables and JSON, and the ranking of outputs."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from musetalk_core.errors import OptionError
from musetalk_core.eval.batch import GROUPS, compare, rank, speaks
from musetalk_core.eval.curves import DubScores, Spread
from musetalk_core.eval.fidelity import Fidelity
from musetalk_core.eval.region import RegionScores
from musetalk_core.eval.report import BY_KEY, METRICS, Motion, Report, Traces, show, table

UNKNOWN = np.full(4, np.nan)


def report(r: float = 0.9, psnr: float = 30, sharpness: float = 0.9, outside: int = 0) -> Report:
    motion = Motion(r, 0.7, 0.1, 4.0, r, 0.9, 1.0, 2.5, 0.1, 0.09)
    region = RegionScores(sharpness, 1.0, 2.0, (1.0, 0.0, 0.0), 1.0, outside, min(1, outside), float(outside > 0), 4)
    fidelity = Fidelity(2.0, psnr, 0.9, 1.0, psnr + 2, 0.95, 4)
    dub = DubScores(Spread(0.8, 0.1, 3), Spread(0.5, 0.1, 6), None)
    traces = Traces(UNKNOWN, UNKNOWN, None, UNKNOWN, None, None, None, UNKNOWN, UNKNOWN)
    return Report(4, 25.0, 1.0, fidelity, motion, dub, None, None, None, region, {"csim": 0.9}, ["a note."], traces)


def test_every_metric_reads_a_number_or_nothing() -> None:
    values = report().values()
    assert list(values) == [metric.key for metric in METRICS]
    assert values["dub.dub"] == 0.8
    assert values["dub.leak"] is None
    assert values["probe.peak_ms"] is None
    assert values["external.csim"] == 0.9
    assert values["external.fid"] is None
    assert values["found"] == 1


def test_json_has_no_nan() -> None:
    text = json.dumps(report().as_dict(), allow_nan=False)
    back = json.loads(text)
    assert back["fidelity"]["psnr"] == 30
    assert back["traces"]["opening"] == [None] * 4
    assert back["dub"]["chance"] == {"mean": 0.5, "sd": 0.1, "count": 6}


def test_table_shows_what_there_is_side_by_side() -> None:
    text = table({"one": report(), "two": report(psnr=25)})
    line = next(row for row in text.splitlines() if row.startswith("mouth PSNR (dB)"))
    assert line.split()[-2:] == ["30", "25"]
    assert "sync probe" not in text
    assert "note, two: a note." in text


@pytest.mark.parametrize(
    ("value", "word"), [(None, "-"), (float("nan"), "-"), (3.0, "3"), (0.12345, "0.123"), (12345.6, "12346")]
)
def test_numbers_are_short(value: float | None, word: str) -> None:
    assert show(value) == word


def test_badness_goes_the_right_way() -> None:
    assert BY_KEY["motion.opening_r"].badness(0.9) < BY_KEY["motion.opening_r"].badness(0.5)
    assert BY_KEY["region.seam"].badness(1) < BY_KEY["region.seam"].badness(3)
    assert BY_KEY["motion.lag_ms"].badness(-5) < BY_KEY["motion.lag_ms"].badness(40)
    ratio = BY_KEY["motion.std_ratio"]
    assert ratio.badness(1) < ratio.badness(0.8) < ratio.badness(0)
    assert ratio.badness(2) == pytest.approx(ratio.badness(0.5))


def test_a_frozen_mouth_does_not_win_by_its_pictures() -> None:
    still = Motion(None, None, None, None, None, 0.01, 3.0, 0.02, 0.01, 0.09)
    reports = {
        "frozen": replace(report(psnr=33, sharpness=1.0), motion=still),
        "speaks": report(psnr=30),
        "worse": report(0.4),
    }
    ranking = rank(reports)
    assert next(one.name for one in ranking) == "speaks"
    assert next(one for one in ranking if one.name == "frozen").groups["sync"] == 3


def test_equal_outputs_share_a_rank() -> None:
    ranking = rank({"a": report(), "b": report()})
    assert [one.score for one in ranking] == [1.5, 1.5]
    assert set(ranking[0].groups) == set(GROUPS)


def test_harm_outside_costs_rank() -> None:
    ranking = rank({"clean": report(), "dirty": report(outside=500)})
    assert ranking[0].name == "clean"


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(OptionError):
        compare(None, {})  # type: ignore[arg-type]


def test_footage_that_nobody_touched_comes_last() -> None:
    spoken = report(psnr=25, sharpness=0.5)
    chance = Spread(0.5, 0.1, 6)
    untouched = replace(report(psnr=100, sharpness=1.0), dub=DubScores(Spread(0.55, 0.1, 3), chance, None))
    assert speaks(spoken)
    assert not speaks(untouched)
    assert [one.name for one in rank({"untouched": untouched, "spoken": spoken})] == ["spoken", "untouched"]
