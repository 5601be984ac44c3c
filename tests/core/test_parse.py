"""The face parser: the released file's layout, the square that it sees, its preprocessing."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from musetalk_core.errors import FaceError, ModelError
from musetalk_core.face.parse import PARSE_SIZE, FaceParser, parse_square, square_image
from musetalk_core.placement import SingleDevice

Image = pytest.importorskip("PIL.Image")

NORM = ("weight", "bias", "running_mean", "running_var")


def released_layout() -> dict[str, tuple[int, ...]]:
    """Every key and shape of 79999_iter.pth, written down from what is public about it: 191 tensors."""
    layout: dict[str, tuple[int, ...]] = {}

    def norm(name: str, channels: int) -> None:
        layout.update({f"{name}.{part}": (channels,) for part in NORM})
        layout[f"{name}.num_batches_tracked"] = ()

    def block(name: str, inputs: int, outputs: int, kernel: int = 3) -> None:
        layout[f"{name}.conv.weight"] = (outputs, inputs, kernel, kernel)
        norm(f"{name}.bn", outputs)

    layout["cp.resnet.conv1.weight"] = (64, 3, 7, 7)
    norm("cp.resnet.bn1", 64)
    for number, (inputs, outputs) in enumerate([(64, 64), (64, 128), (128, 256), (256, 512)], start=1):
        for depth in (0, 1):
            name = f"cp.resnet.layer{number}.{depth}"
            layout[f"{name}.conv1.weight"] = (outputs, outputs if depth else inputs, 3, 3)
            layout[f"{name}.conv2.weight"] = (outputs, outputs, 3, 3)
            norm(f"{name}.bn1", outputs)
            norm(f"{name}.bn2", outputs)
        if inputs != outputs:
            layout[f"cp.resnet.layer{number}.0.downsample.0.weight"] = (outputs, inputs, 1, 1)
            norm(f"cp.resnet.layer{number}.0.downsample.1", outputs)
    for name, inputs in (("cp.arm16", 256), ("cp.arm32", 512)):
        block(f"{name}.conv", inputs, 128)
        layout[f"{name}.conv_atten.weight"] = (128, 128, 1, 1)
        norm(f"{name}.bn_atten", 128)
    block("cp.conv_head32", 128, 128)
    block("cp.conv_head16", 128, 128)
    block("cp.conv_avg", 512, 128, kernel=1)
    block("ffm.convblk", 256, 256, kernel=1)
    layout["ffm.conv1.weight"] = (64, 256, 1, 1)
    layout["ffm.conv2.weight"] = (256, 64, 1, 1)
    for name, inputs, middle in (("conv_out", 256, 256), ("conv_out16", 128, 64), ("conv_out32", 128, 64)):
        block(f"{name}.conv", inputs, middle)
        layout[f"{name}.conv_out.weight"] = (19, middle, 1, 1)
    return layout


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    tensors = {}
    for name, shape in released_layout().items():
        if name.endswith("num_batches_tracked"):
            tensors[name] = torch.tensor(79999)
        elif name.endswith("running_var"):
            tensors[name] = torch.rand(shape) + 0.5
        else:
            tensors[name] = torch.randn(shape) * (0.05 if len(shape) > 1 else 0.5)
    return tensors


@pytest.fixture(scope="module")
def released_file(weights: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("parser") / "79999_iter.pth"
    torch.save(weights, path)
    return path


@pytest.fixture(scope="module")
def parser(released_file: Path) -> FaceParser:
    return FaceParser.load(released_file, SingleDevice("cpu", "fp32"))


def test_layout_has_the_released_number_of_tensors() -> None:
    assert len(released_layout()) == 191


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("cp.arm16.bn_atten.running_var"), "cp.arm16.bn_atten.running_var"),
        (lambda w: w.update({"sp.conv1.conv.weight": torch.zeros(1)}), "sp.conv1.conv.weight"),
        (lambda w: w.update({"conv_out.conv_out.weight": torch.zeros(11, 256, 1, 1)}), "conv_out.conv_out.weight"),
    ],
)
def test_another_network_is_refused(weights: dict[str, torch.Tensor], tmp_path: Path, change, message: str) -> None:
    wrong = dict(weights)
    change(wrong)
    torch.save(wrong, tmp_path / "wrong.pth")
    with pytest.raises(ModelError, match=message):
        FaceParser.load(tmp_path / "wrong.pth", SingleDevice("cpu", "fp32"))


def test_identity_names_the_content(parser: FaceParser, weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    other = dict(weights) | {"conv_out.conv_out.weight": weights["conv_out.conv_out.weight"] + 1}
    torch.save(other, tmp_path / "79999_iter.pth")
    torch.save(weights, tmp_path / "same.pth")
    place = SingleDevice("cpu", "fp32")
    assert FaceParser.load(tmp_path / "79999_iter.pth", place).identity != parser.identity
    assert FaceParser.load(tmp_path / "same.pth", place).identity == parser.identity


class Recorder(nn.Module):
    """Keeps what it is given, for all copies that a placement may make."""

    seen: ClassVar[list[torch.Tensor]] = []

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 19, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen[:] = [images]
        return self.conv(images)


@pytest.mark.parametrize("side", [150, 512, 733])
def test_preprocessing_is_the_released_one(side: int) -> None:
    rng = np.random.default_rng(side)
    frame = rng.integers(0, 256, (900, 1000, 3), dtype=np.uint8)
    box = np.array([120, 90, 120 + side * 2 // 3, 90 + side * 2 // 3])
    network = Recorder()
    FaceParser(network, SingleDevice("cpu", "fp32"), "recorder").parse(frame, box)
    x, y, length = parse_square(box)
    pillow = Image.fromarray(frame).crop((x, y, x + length, y + length)).resize((512, 512), Image.BILINEAR)
    expected = (np.asarray(pillow, np.float64) / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    seen = network.seen[0][0].permute(1, 2, 0).double().numpy()
    assert np.abs(seen - expected).max() <= 1.01 / 255 / 0.224


def test_class_map_is_the_largest_score(parser: FaceParser) -> None:
    frame = np.random.default_rng(1).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    classes = parser.parse(frame, (100, 50, 250, 250))
    assert classes.shape == (PARSE_SIZE, PARSE_SIZE)
    assert classes.dtype == np.uint8
    assert classes.max() < 19
    assert len(np.unique(classes)) > 1
    same = parser.parse(frame.astype(np.float32) / 255, (100, 50, 250, 250))
    assert (same == classes).mean() > 0.999


def test_half_precision_overflow_is_repeated_in_full() -> None:
    network = nn.Conv2d(3, 19, 1, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.linspace(-6e4, 6e4, 57).view(19, 3, 1, 1))
    frame = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    half = FaceParser(network, SingleDevice("cpu", "fp16"), "x").parse(frame, (10, 10, 50, 50))
    full = FaceParser(network, SingleDevice("cpu", "fp32"), "x").parse(frame, (10, 10, 50, 50))
    assert np.array_equal(half, full)


@settings(max_examples=60, deadline=None)
@given(st.integers(-90, 130), st.integers(-90, 130), st.integers(2, 160), st.integers(2, 160))
def test_square_is_cut_as_pillow_cuts_it(x: int, y: int, width: int, height: int) -> None:
    frame = np.random.default_rng(0).integers(1, 256, (97, 113, 3), dtype=np.uint8)
    x1, y1, x2, y2 = x, y, x + width, y + height
    x_c, y_c = (x1 + x2) // 2, (y1 + y2) // 2
    s = int((max(width, height) // 2) * 1.5)
    assert parse_square((x1, y1, x2, y2)) == (x_c - s, y_c - s, 2 * s)
    expected = Image.fromarray(frame).crop((x_c - s, y_c - s, x_c + s, y_c + s))
    assert np.array_equal(square_image(frame, (x1, y1, x2, y2)), np.asarray(expected))


def test_box_without_area_is_refused() -> None:
    with pytest.raises(FaceError):
        square_image(np.zeros((10, 10, 3), np.uint8), (5, 5, 5, 5))
