"""Networks from the user: ONNX files are run, everything else is refused; SyncNet loads in the released layout."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from musetalk_core.errors import ModelError
from musetalk_core.eval.external import ExternalMeter, ExternalNets, OnnxNet, RunningGaussian, frechet, onnx_nets
from musetalk_core.eval.lse import sync_scores
from musetalk_core.models.syncnet import (
    AUDIO_TOWER,
    FRAMES,
    IMAGE_HEIGHT,
    IMAGE_WIDTH,
    MEL_BANDS,
    MEL_ROWS,
    VISUAL_TOWER,
    SyncNetwork,
    Tower,
    load_syncnet,
)
from musetalk_core.placement import SingleDevice
from musetalk_core.progress import SilentProgress
from musetalk_core.types import AudioClip, FaceTrack
from musetalk_core.video.read import ArrayFootage

CPU = SingleDevice("cpu", "fp32")
SMALL_AUDIO = Tower(1, (32, 32, 64, 64, 64, 64, 64), AUDIO_TOWER.strides)
SMALL_VISUAL = Tower(3 * FRAMES, (32, 32, 32, 32, 32, 64, 64, 64), VISUAL_TOWER.strides)


# A minimal writer of the ONNX format (protocol buffers), so that the tests need no further package.
def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    parts = b""
    while value > 127:
        parts += bytes([value & 127 | 128])
        value >>= 7
    return parts + bytes([value])


def tensor_info(name: str, shape: tuple[int, ...]) -> bytes:
    dims = b"".join(field(1, field(1, size)) for size in shape)
    return field(1, name.encode()) + field(2, field(1, field(1, 1) + field(2, dims)))


def node(kind: str, inputs: list[str], output: str) -> bytes:
    return b"".join(field(1, name.encode()) for name in inputs) + field(2, output.encode()) + field(4, kind.encode())


def onnx_file(
    path: Path, nodes: list[bytes], inputs: dict[str, tuple[int, ...]], output: tuple[str, tuple[int, ...]]
) -> Path:
    graph = b"".join(field(1, one) for one in nodes) + field(2, b"test")
    graph += b"".join(field(11, tensor_info(name, shape)) for name, shape in inputs.items())
    graph += field(12, tensor_info(*output))
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(1, b"") + field(2, 13)))
    return path


@pytest.fixture
def means_net(tmp_path: Path) -> Path:
    """Embeds a picture as the mean of each channel."""
    nodes = [node("GlobalAveragePool", ["x"], "y")]
    return onnx_file(tmp_path / "means ä.onnx", nodes, {"x": (1, 3, 112, 112)}, ("y", (1, 3, 1, 1)))


@pytest.fixture
def distance_net(tmp_path: Path) -> Path:
    """Mean squared difference of two pictures, of their first channel."""
    nodes = [node("Sub", ["in0", "in1"], "d"), node("Mul", ["d", "d"], "s"), node("GlobalAveragePool", ["s"], "y")]
    shape = (1, 3, 256, 256)
    return onnx_file(tmp_path / "distance.onnx", nodes, {"in0": shape, "in1": shape}, ("y", (1, 3, 1, 1)))


def test_an_onnx_file_embeds(means_net: Path) -> None:
    picture = np.random.default_rng(0).uniform(-1, 1, (1, 3, 112, 112)).astype(np.float32)
    net = onnx_nets(means_net, None, None).identity
    assert net is not None
    np.testing.assert_allclose(net(picture), picture.mean((2, 3))[0], atol=1e-5)


def test_an_onnx_file_compares(distance_net: Path) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-1, 1, (2, 1, 3, 256, 256)).astype(np.float32)
    net = OnnxNet(distance_net)
    assert net.compare(a, b) == pytest.approx(float(np.square(a - b)[0, 0].mean()), rel=1e-4)
    assert net.compare(a, a) == 0


def test_other_files_are_refused(tmp_path: Path, means_net: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        OnnxNet(tmp_path / "none.onnx")
    script = tmp_path / "net.pt"
    torch.save(torch.zeros(3), script)
    with pytest.raises(ModelError, match="not an ONNX file"):
        OnnxNet(script)
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(means_net.read_bytes()[:40])
    with pytest.raises(ModelError, match="cannot be used"):
        OnnxNet(damaged)
    with pytest.raises(ModelError, match="failed"):
        OnnxNet(means_net).compare(np.zeros((1, 3, 112, 112)), np.zeros((1, 3, 112, 112)))


def test_frechet_distance_of_known_gaussians() -> None:
    rng = np.random.default_rng(0)
    same, moved, other = RunningGaussian(), RunningGaussian(), RunningGaussian()
    for row in rng.normal(size=(4000, 3)):
        same.add(row)
        moved.add(row + np.array([2, 0, 0]))
        other.add(3 * row)
    assert frechet(same, same) == pytest.approx(0, abs=1e-6)
    assert frechet(same, moved) == pytest.approx(4, rel=1e-6)
    assert frechet(same, other) == pytest.approx(3 * 2**2, rel=0.1)  # (3 - 1) squared in each of three directions
    assert frechet(RunningGaussian(), same) is None


def drawn(frames: int) -> tuple[np.ndarray, FaceTrack]:
    """Noise frames with a face of random but sensible points."""
    rng = np.random.default_rng(1)
    points = rng.uniform(50, 150, (478, 2))
    for index, place in {33: (70, 80), 133: (85, 80), 362: (115, 80), 263: (130, 80), 4: (100, 105)}.items():
        points[index] = place
    points[[61, 291]] = [[82, 130], [118, 130]]
    points[[70, 63, 105, 66, 107]] = (77, 68)
    points[[336, 296, 334, 293, 300]] = (123, 68)
    points[[195, 129, 358]] = (100, 103)
    pictures = rng.integers(0, 255, (frames, 200, 200, 3)).astype(np.uint8)
    ones, zeros = np.ones(frames, np.float32), np.zeros(frames, np.float32)
    boxes = np.tile(np.array([50, 50, 150, 150], np.int32), (frames, 1))
    marks = np.tile(points.astype(np.float32), (frames, 1, 1))
    return pictures, FaceTrack(ones > 0, marks, boxes, zeros, ones, zeros.astype(np.uint8), 200, 200)


def test_the_meter_uses_each_net_as_it_is_meant() -> None:
    frames, track = drawn(3)
    shapes: list[tuple[int, ...]] = []

    def embed(picture: np.ndarray) -> np.ndarray:
        shapes.append(picture.shape)
        return picture.mean((2, 3))[0] + 1.0

    def differ(a: np.ndarray, b: np.ndarray) -> float:
        shapes.append(a.shape)
        return float(np.abs(a - b).mean())

    meter = ExternalMeter(ExternalNets(embed, embed, differ))
    assert not meter.idle
    for frame, points in zip(frames, track.landmarks, strict=True):
        meter.add(frame, points, frame, points)
        meter.add_true(frame, frame, points)
    found = meter.result()
    assert found["csim"] == pytest.approx(1)
    assert found["fid"] == pytest.approx(0, abs=1e-9)
    assert found["lpips"] == 0
    assert {shape[-1] for shape in shapes} == {112, 299, 256}
    assert ExternalMeter(ExternalNets()).idle
    assert ExternalMeter(ExternalNets()).result() == {}


def small_file(path: Path, audio_attended: set[int], visual_attended: set[int]) -> Path:
    torch.manual_seed(0)
    network = SyncNetwork(audio_attended, visual_attended, SMALL_AUDIO, SMALL_VISUAL)
    torch.save({"global_step": 5, "state_dict": network.state_dict()}, path)
    return path


@pytest.mark.parametrize(("audio", "visual"), [(set(), set()), ({4, 6}, {5, 7})])
def test_a_syncnet_of_either_kind_loads_and_tells_the_shift(tmp_path: Path, audio: set[int], visual: set[int]) -> None:
    net = load_syncnet(small_file(tmp_path / "syncnet.pt", audio, visual), CPU, SMALL_AUDIO, SMALL_VISUAL)
    seen = net.see(torch.rand(2, 3 * FRAMES, IMAGE_HEIGHT, IMAGE_WIDTH))
    heard = net.hear(torch.rand(3, MEL_BANDS, MEL_ROWS))
    assert seen.shape == (2, 64)
    assert heard.shape == (3, 64)
    assert torch.linalg.vector_norm(seen, dim=1).tolist() == pytest.approx([1, 1])


def test_the_released_layout_by_key_and_shape() -> None:
    with torch.device("meta"):
        plain, attended = SyncNetwork(), SyncNetwork({4, 6}, {5, 7})
    shapes = {name: tuple(value.shape) for name, value in attended.state_dict().items()}
    assert sum(value.numel() for value in plain.parameters()) == 371_766_496
    assert shapes["audio_encoder.conv_in.weight"] == (32, 1, 3, 3)
    assert shapes["visual_encoder.conv_in.weight"] == (64, 48, 3, 3)
    assert shapes["audio_encoder.down_blocks.4.attn.to_q.bias"] == (256,)
    assert shapes["visual_encoder.down_blocks.7.ff.net.0.proj.weight"] == (8192, 1024)
    assert shapes["visual_encoder.down_blocks.5.attn.to_out.0.weight"] == (512, 512)
    assert shapes["visual_encoder.norm_out.weight"] == (2048,)
    assert "audio_encoder.down_blocks.3.downsample_conv.weight" not in plain.state_dict()


def test_another_network_is_no_syncnet(tmp_path: Path) -> None:
    other = tmp_path / "other.pt"
    torch.save({"state_dict": {"conv.weight": torch.zeros(3)}}, other)
    with pytest.raises(ModelError, match="SyncNet"):
        load_syncnet(other, CPU)
    with pytest.raises(ModelError, match="SyncNet"):
        load_syncnet(small_file(tmp_path / "small.pt", set(), set()), CPU)
    with pytest.raises(ModelError, match="does not exist"):
        load_syncnet(tmp_path / "none.pt", CPU)


class Matcher:
    """A SyncNet that knows the answer: it sees brightness and hears loudness."""

    def see(self, faces: torch.Tensor) -> torch.Tensor:
        level = faces.mean((2, 3)).reshape(len(faces), FRAMES, 3).mean(2)
        return torch.nn.functional.normalize(level - level.mean(1, keepdim=True) + 1e-3)

    def hear(self, mels: torch.Tensor) -> torch.Tensor:
        level = torch.nn.functional.interpolate(mels.mean(1)[:, None], FRAMES, mode="linear")[:, 0]
        return torch.nn.functional.normalize(level - level.mean(1, keepdim=True) + 1e-3)


@pytest.mark.parametrize("late", [4, -6])
def test_lse_finds_the_shift_of_the_sound(late: int) -> None:
    frames, rng = 60, np.random.default_rng(2)
    level = np.convolve(rng.normal(size=frames + 40), np.hanning(7), "same")
    level = (level - level.min()) / (level.max() - level.min())
    pictures = np.repeat((40 + 170 * level[20 : 20 + frames]).astype(np.uint8), 200 * 200 * 3)
    footage = ArrayFootage(pictures.reshape(frames, 200, 200, 3), Fraction(25))
    loud = np.repeat(level[20 - late : 20 - late + frames], 640)
    sound = AudioClip((10 ** (2 * loud - 3) * rng.normal(size=len(loud))).astype(np.float32))
    _, track = drawn(frames)
    scores = sync_scores(footage, track, sound, Matcher(), SilentProgress())  # type: ignore[arg-type]
    assert scores is not None
    assert scores.offset_ms == 40 * late
    assert scores.lse_d < 0.7
    assert scores.lse_c > 0.3
    assert scores.windows == frames - FRAMES + 1


@pytest.mark.slow
def test_a_file_in_the_released_size_loads(tmp_path: Path) -> None:
    with torch.device("meta"):
        network = SyncNetwork({4, 6}, {5, 7})
    state = {name: torch.randn(value.shape, dtype=torch.float16) * 0.02 for name, value in network.state_dict().items()}
    path = tmp_path / "latentsync_syncnet.pt"
    torch.save({"state_dict": state}, path)
    net = load_syncnet(path, CPU)
    assert net.see(torch.rand(1, 3 * FRAMES, IMAGE_HEIGHT, IMAGE_WIDTH)).shape == (1, 2048)
    assert net.hear(torch.rand(1, MEL_BANDS, MEL_ROWS)).shape == (1, 2048)


def test_the_writer_of_test_files_is_right() -> None:
    assert varint(300) == b"\xac\x02"
    assert field(1, 150) == b"\x08\x96\x01"
    assert struct.unpack("<B", varint(5))[0] == 5
