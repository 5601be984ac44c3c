"""Whole evaluations on real footage: planted faults, dubs of other sentences, misfits, plots, the command line."""

from __future__ import annotations

import importlib.util
import json
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from musetalk_core.audio.read import read_audio
from musetalk_core.errors import MediaError
from musetalk_core.eval.batch import compare
from musetalk_core.eval.evaluate import judge
from musetalk_core.eval.plots import write_plots
from musetalk_core.eval.reference import EvalOptions, Reference, prepare
from musetalk_core.eval.report import Report
from musetalk_core.types import AudioClip
from musetalk_core.video.read import ArrayFootage, open_footage

FPS = Fraction(25)
SENTENCE = 75  # frames of one GRID sentence


def load_faults() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "scripts" / "bench" / "eval_faults.py"
    spec = importlib.util.spec_from_file_location("eval_faults", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def grid(assets: Path) -> tuple[Path, Path]:
    return assets / "video" / "grid_s1_heldout.mp4", assets / "video" / "grid_s1_heldout.flac"


@pytest.fixture(scope="module")
def short(grid: tuple[Path, Path]) -> tuple[Reference, np.ndarray]:
    """Two seconds of real speech as its own truth."""
    return load_faults().load(*grid, 50)


def plant(name: str, short: tuple[Reference, np.ndarray]) -> Report:
    reference, frames = short
    return judge(reference, ArrayFootage(load_faults().FAULTS[name](reference, frames), FPS))


def test_identity_is_perfect_and_one_pixel_is_all_that_is_seen(short: tuple[Reference, np.ndarray]) -> None:
    same, pixel = plant("identity", short).values(), plant("1 pixel", short).values()
    assert same["motion.opening_r"] == pytest.approx(1)
    assert same["motion.lag_frames"] == pytest.approx(0, abs=1e-6)
    assert same["motion.std_ratio"] == pytest.approx(1)
    assert same["fidelity.psnr"] == 100
    assert same["region.seam"] == same["region.flicker"] == same["region.colour_shift"] == 0
    assert same["region.outside_pixels"] == 0
    assert pixel["region.outside_pixels"] == pixel["region.outside_most"] == 1
    changed = [key for key in same if same[key] != pixel[key]]
    assert changed == ["region.outside_pixels", "region.outside_most"]


def test_hard_seam_is_found_at_its_height(short: tuple[Reference, np.ndarray]) -> None:
    report = plant("seam 6", short)
    assert report.region.seam == pytest.approx(6, rel=0.15)
    assert report.motion.opening_r is not None
    assert report.motion.opening_r > 0.98
    assert report.region.flicker is not None
    assert report.region.flicker < 0.3


def test_what_does_not_fit_is_refused(short: tuple[Reference, np.ndarray]) -> None:
    reference, frames = short
    with pytest.raises(MediaError, match="pixels"):
        judge(reference, ArrayFootage(frames[:, :-2], FPS))
    with pytest.raises(MediaError, match="frames a second"):
        judge(reference, ArrayFootage(frames, Fraction(30)))
    with pytest.raises(MediaError, match="frames"):
        judge(reference, ArrayFootage(np.concatenate([frames, frames]), FPS))


def test_plots_of_a_report_are_written(short: tuple[Reference, np.ndarray], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    reference, frames = short
    output = ArrayFootage(frames, FPS)
    files = write_plots(judge(reference, output), reference, output, tmp_path / "plots")
    assert {file.name for file in files} == {"curves.png", "worst.png"}  # two seconds are too short for the probe
    assert all(file.stat().st_size > 5000 for file in files)


@pytest.fixture(scope="module")
def long(grid: tuple[Path, Path]) -> tuple[Reference, dict[str, dict[str, float | None]]]:
    """All faults over six sentences."""
    faults = load_faults()
    reference, frames = faults.load(*grid, 6 * SENTENCE)
    found = {}
    for name, fault in faults.FAULTS.items():
        found[name] = judge(reference, ArrayFootage(fault(reference, frames), FPS)).values()
    return reference, found


# For each fault: its own meters with the size they must find, and the meters on which it may also show, because it
# really changes what they measure. All other meters must stay as quiet as on the untouched footage.
FOUND: dict[str, dict[str, tuple[float, float]]] = {
    "identity": {},
    "delay 2": {"motion.lag_frames": (1.9, 2.1)},
    "blur 2px": {"region.sharpness": (0.1, 0.5)},
    "grey +6": {"region.colour_shift": (2.0, 2.6)},
    "seam 6": {"region.seam": (5.4, 6.9)},
    "frozen": {"motion.std_ratio": (0, 0.05)},
    "jitter 1%": {"motion.jerk": (0.45, 1.1)},
    "gaping": {"silence.open_share": (0.95, 1)},
    "1 pixel": {"region.outside_pixels": (1, 1)},
}
MOUTH = {"motion.lip_distance", "fidelity.matched_psnr", "region.flicker", "region.seam", "region.colour_shift"}
ALSO: dict[str, set[str]] = {
    "identity": set(),
    "delay 2": {"motion.opening_r", "probe.r2_at_zero", "silence.open_share", *MOUTH},
    "blur 2px": {"motion.std_ratio", *MOUTH},  # the background bleeds over the jaw's edge
    "grey +6": {"region.seam"},
    "seam 6": {"region.colour_shift"},
    "frozen": {
        *("motion.lag_frames", "motion.opening_r", "motion.jerk", "probe.r2_at_zero", "silence.open_share"),
        *("region.sharpness", *MOUTH),
    },
    "jitter 1%": {"region.sharpness", *MOUTH},
    "gaping": {"motion.opening_r", "probe.r2_at_zero", "motion.jerk", *MOUTH},
    "1 pixel": set(),
}
# How far a quiet meter may lie from what it says of the untouched footage.
QUIET = {
    "motion.lag_frames": 0.1,
    "motion.opening_r": 0.02,
    "motion.std_ratio": 0.06,
    "motion.lip_distance": 0.2,
    "motion.jerk": 0.03,
    "probe.r2_at_zero": 0.03,
    "silence.open_share": 0.06,
    "region.sharpness": 0.1,
    "region.seam": 0.1,
    "region.flicker": 0.1,
    "region.colour_shift": 0.1,
    "region.outside_pixels": 0,
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FOUND)
def test_each_fault_is_found_at_its_size_and_the_others_stay_quiet(
    fault: str, long: tuple[Reference, dict[str, dict[str, float | None]]]
) -> None:
    values, clean = long[1][fault], long[1]["identity"]
    for key, (low, high) in FOUND[fault].items():
        value = values[key]
        assert value is not None
        assert low <= value <= high, key
    for key, slack in QUIET.items():
        value, before = values[key], clean[key]
        if key in FOUND[fault] or key in ALSO[fault]:
            continue
        assert value is not None
        assert before is not None
        assert abs(value - before) <= slack, key


@pytest.mark.slow
def test_dub_chance_and_leak_of_real_sentences(grid: tuple[Path, Path]) -> None:
    frames = open_footage(grid[0]).read(range(8 * SENTENCE))
    clip = read_audio(grid[1])
    step = SENTENCE * clip.rate // 25
    turned = np.roll(frames, -SENTENCE, axis=0)  # each place shows the next sentence: what a perfect dub would be
    sound = AudioClip(np.roll(clip.samples[: 8 * step], -step))
    reference = prepare(
        ArrayFootage(frames, FPS), sound, ArrayFootage(turned, FPS), EvalOptions(sentence_frames=SENTENCE)
    )
    result = compare(reference, {"ignores": ArrayFootage(frames, FPS), "dubbed": ArrayFootage(turned, FPS)})
    dubbed, ignores = result.reports["dubbed"].dub, result.reports["ignores"].dub
    assert dubbed is not None
    assert dubbed.dub is not None
    assert dubbed.chance is not None
    assert dubbed.leak is not None
    assert dubbed.dub.mean > 0.99
    assert dubbed.dub.count == 8
    assert dubbed.chance.count == 56
    assert abs(dubbed.leak.mean - dubbed.chance.mean) < 0.15
    assert ignores is not None
    assert ignores.dub is not None
    assert ignores.leak is not None
    assert ignores.leak.mean > 0.99
    assert ignores.dub.mean < 0.8
    assert [one.speaks for one in result.ranking] == [True, False]
    assert result.ranking[0].name == "dubbed"  # though the untouched picture is perfect


@pytest.mark.slow
def test_the_command_line_writes_table_json_and_plots(
    grid: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import argparse

    from musetalk_core.cli import eval as command

    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    clip = grid[0].parent / "videoretalking_5.mp4"
    words = ["eval", str(clip), str(clip), "--audio", str(clip), "--truth", str(clip), "--quiet"]
    args = parser.parse_args([*words, "--json", str(tmp_path / "r.json"), "--plots", str(tmp_path / "plots")])
    assert args.run(args) == 0
    assert "mouth PSNR" in capsys.readouterr().out
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert report["fidelity"]["psnr"] == 100
    assert len(report["traces"]["opening"]) == report["frames"]
    assert (tmp_path / "plots" / "curves.png").is_file()
