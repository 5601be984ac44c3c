"""What the sync loss sees: windows of which a part is generated, and the released SyncNet, number by number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from musetalk_core.errors import ModelError, OptionError
from musetalk_core.models.syncnet import AUDIO_TOWER, FRAMES, VISUAL_TOWER, SyncNetwork, Tower
from musetalk_core.training.config import make_config
from musetalk_core.training.sampling import draw_run
from musetalk_core.training.step import Batch, sync_window
from musetalk_core.training.syncnet import ReleasedSyncNet, SmallSyncNet, SyncNetOptions, load_sync_judge, sync_loss

SMALL_AUDIO = Tower(1, (32, 32, 64, 64, 64, 64, 64), AUDIO_TOWER.strides)
SMALL_VISUAL = Tower(3 * FRAMES, (32, 32, 32, 32, 32, 64, 64, 64), VISUAL_TOWER.strides)


def _batch(window: Tensor, first: list[int], frames: int) -> Batch:
    empty = torch.empty(0)
    return Batch(empty, empty, empty, empty, None, empty, empty, frames, window, torch.tensor(first))


def test_generated_frames_take_their_places_among_the_true_ones():
    window = torch.arange(2 * 6).reshape(2, 6, 1, 1, 1).expand(2, 6, 3, 4, 4).float()
    made = -1 - torch.arange(4.0).reshape(4, 1, 1, 1).expand(4, 3, 4, 4)
    seen = sync_window(_batch(window, [1, 4], 2), made)[:, :, 0, 0, 0]
    assert seen.tolist() == [[0, -1, -2, 3, 4, 5], [6, 7, 8, 9, -3, -4]]
    whole = sync_window(Batch(*[torch.empty(0)] * 4, None, torch.empty(0), torch.empty(0), 2), made)
    assert torch.equal(whole, made.reshape(2, 2, 3, 4, 4))


def test_generated_frames_get_the_gradient_that_they_have_in_the_whole_window():
    torch.manual_seed(0)
    network = SmallSyncNet(SyncNetOptions(frames=8, channels=8, embedding=16, height=16, width=32))
    true, mel = torch.rand(2, 8, 3, 32, 32), torch.rand(2, 80, 26)
    first = [2, 5]
    made = torch.rand(6, 3, 32, 32, requires_grad=True)

    def loss(window: Tensor) -> Tensor:
        return sync_loss((network.see(window) * network.hear(mel)).sum(dim=1))

    ours = torch.autograd.grad(loss(sync_window(_batch(true, first, 3), made)), made)[0]
    whole = true.clone()
    for row, place in enumerate(first):
        whole[row, place : place + 3] = made.detach()[3 * row : 3 * row + 3]
    whole.requires_grad_(True)
    every = torch.autograd.grad(loss(whole), whole)[0]
    expected = torch.cat([every[row, place : place + 3] for row, place in enumerate(first)])
    assert expected.abs().max() > 0
    assert torch.allclose(ours, expected, rtol=1e-5, atol=1e-8)


def test_runs_lie_anywhere_in_the_window_and_the_whole_window_draws_nothing():
    window, random = np.arange(20, 36), np.random.default_rng(0)
    firsts = set()
    for _ in range(400):
        run = draw_run(window, 4, random)
        assert np.array_equal(run, np.arange(run[0], run[0] + 4))
        firsts.add(int(run[0]))
    assert firsts == set(range(20, 33))
    before = random.bit_generator.state
    for length in (0, 16, 50):
        assert np.array_equal(draw_run(window, length, random), window)
    assert random.bit_generator.state == before  # a run without the option draws the samples that it always drew


def test_a_part_of_the_window_is_for_the_sync_loss_alone():
    with pytest.raises(OptionError, match="sync loss"):
        make_config({"data": {"frames": 16, "generated": 4}})


def _released(encoder: str, state: dict[str, Tensor], tower: Tower, attended: set[int], x: Tensor) -> Tensor:
    """The released encoder written down a second time, from its configuration and its keys alone.

    Source: LatentSync's syncnet_16_pixel and syncnet_16_pixel_attn.
    """

    def weights(name: str) -> tuple[Tensor, Tensor]:
        return state[f"{encoder}.{name}.weight"], state[f"{encoder}.{name}.bias"]

    def group_norm(name: str, y: Tensor) -> Tensor:
        parts = y.reshape(len(y), 32, -1)
        parts = (parts - parts.mean(2, keepdim=True)) / (parts.var(2, unbiased=False, keepdim=True) + 1e-6).sqrt()
        scale, shift = weights(name)
        return parts.reshape(y.shape) * scale[:, None, None] + shift[:, None, None]

    def swish(y: Tensor) -> Tensor:
        return y / (1 + torch.exp(-y))

    def block(name: str, y: Tensor, stride: tuple[int, int]) -> Tensor:
        inner = functional.conv2d(swish(group_norm(f"{name}.norm1", y)), *weights(f"{name}.conv1"), padding=1)
        inner = functional.conv2d(swish(group_norm(f"{name}.norm2", inner)), *weights(f"{name}.conv2"), padding=1)
        if f"{encoder}.{name}.conv_shortcut.weight" in state:
            y = torch.einsum("bchw,oc->bohw", y, weights(f"{name}.conv_shortcut")[0][:, :, 0, 0])
            y = y + weights(f"{name}.conv_shortcut")[1][:, None, None]
        y = y + inner
        if stride == (1, 1):
            return y
        pads = {(1, 2): (0, 1, 1, 1), (2, 1): (1, 1, 0, 1)}.get(stride, (0, 1, 0, 1))  # left, right, top, bottom
        return functional.conv2d(functional.pad(y, pads), *weights(f"{name}.downsample_conv"), stride=stride)

    def attend(name: str, y: Tensor) -> Tensor:
        width, (rows, columns) = y.shape[1], y.shape[2:]
        z = functional.conv2d(group_norm(f"{name}.norm1", y), *weights(f"{name}.conv_in"))
        z = z.permute(0, 2, 3, 1).reshape(len(y), rows * columns, width)
        normed = functional.layer_norm(z, (width,), *weights(f"{name}.norm2"))
        query, key, value = (
            functional.linear(normed, *weights(f"{name}.attn.{part}")).unflatten(2, (8, width // 8)).transpose(1, 2)
            for part in ("to_q", "to_k", "to_v")
        )
        share = torch.softmax(query @ key.transpose(2, 3) * (width // 8) ** -0.5, dim=3)
        z = z + functional.linear((share @ value).transpose(1, 2).flatten(2), *weights(f"{name}.attn.to_out.0"))
        normed = functional.layer_norm(z, (width,), *weights(f"{name}.norm3"))
        inner, gate = functional.linear(normed, *weights(f"{name}.ff.net.0.proj")).chunk(2, dim=2)
        z = z + functional.linear(inner * functional.gelu(gate), *weights(f"{name}.ff.net.2"))
        z = z.reshape(len(y), rows, columns, width).permute(0, 3, 1, 2)
        return y + functional.conv2d(z, *weights(f"{name}.conv_out"))

    y, place = functional.conv2d(x, *weights("conv_in"), padding=1), 0
    for stride in tower.strides:
        y, place = block(f"down_blocks.{place}", y, stride), place + 1
        if place in attended:
            y, place = attend(f"down_blocks.{place}", y), place + 1
    y = group_norm("norm_out", y).clamp(min=0).flatten(1)
    return y / y.norm(dim=1, keepdim=True)


def _random_state(
    audio: Tower, visual: Tower, audio_attended: set[int], visual_attended: set[int]
) -> dict[str, Tensor]:
    """Random weights that keep signals at about unit size, norms and biases included."""
    generator = torch.Generator().manual_seed(1)
    with torch.device("meta"):
        shapes = SyncNetwork(audio_attended, visual_attended, audio, visual).state_dict()
    state = {}
    for name, shape in shapes.items():
        value = torch.randn(shape.shape, generator=generator)
        plain = shape.dim() == 1
        state[name] = (
            value * 0.2 + float("norm" in name and name.endswith("weight"))
            if plain
            else value * (1.4 / shape[0].numel() ** 0.5)
        )
    return state


@pytest.mark.parametrize(("hearing", "seeing"), [(set(), set()), ({4, 6}, {5, 7})])
def test_the_released_syncnet_is_what_its_layout_says(tmp_path: Path, hearing: set[int], seeing: set[int]):
    state = _random_state(SMALL_AUDIO, SMALL_VISUAL, hearing, seeing)
    torch.save({"global_step": 1, "state_dict": state}, tmp_path / "syncnet.pt")
    judge = ReleasedSyncNet(tmp_path / "syncnet.pt", SMALL_AUDIO, SMALL_VISUAL)
    generator = torch.Generator().manual_seed(2)
    faces = torch.rand(2, FRAMES, 3, 256, 256, generator=generator) * 2 - 1
    mels = torch.rand(2, 80, 52, generator=generator) * 8 - 4
    # Frame after frame, RGB each; rows 128..255: as the released trainer lays them out.
    stacked = torch.cat([faces[:, k, :, 128:] for k in range(FRAMES)], dim=1)
    seen = _released("visual_encoder", state, SMALL_VISUAL, seeing, stacked)
    heard = _released("audio_encoder", state, SMALL_AUDIO, hearing, mels[:, None])
    assert (seen[0] - seen[1]).abs().max() > 0.01  # the random network tells two pictures apart
    assert (heard[0] - heard[1]).abs().max() > 0.01
    assert torch.allclose(judge.see(faces), seen, atol=1e-5)
    assert torch.allclose(judge.hear(mels), heard, atol=1e-5)


def test_gradients_reach_the_faces_and_not_the_network(tmp_path: Path):
    torch.save({"state_dict": _random_state(SMALL_AUDIO, SMALL_VISUAL, {4}, {5})}, tmp_path / "syncnet.pt")
    judge = ReleasedSyncNet(tmp_path / "syncnet.pt", SMALL_AUDIO, SMALL_VISUAL)
    faces = torch.rand(1, FRAMES, 3, 256, 256, requires_grad=True)
    sync_loss((judge.see(faces) * judge.hear(torch.rand(1, 80, 52))).sum(dim=1)).backward()
    assert faces.grad is not None
    assert faces.grad[:, :, :, :128].abs().max() == 0  # the upper half is not seen
    assert (faces.grad[:, :, :, 128:].abs().amax(dim=(0, 2, 3, 4)) > 0).all()  # every frame counts
    assert all(p.grad is None for p in judge.parameters())


def test_a_file_of_another_size_is_refused(tmp_path: Path):
    torch.save({"state_dict": _random_state(SMALL_AUDIO, SMALL_VISUAL, set(), set())}, tmp_path / "small.pt")
    with pytest.raises(ModelError, match="SyncNet of LatentSync"):
        load_sync_judge(tmp_path / "small.pt")
    torch.save({"state_dict": {"conv.weight": torch.zeros(3)}}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match="SyncNet of LatentSync"):
        load_sync_judge(tmp_path / "other.pt")


@pytest.mark.slow
def test_a_file_of_the_released_size_judges_windows(tmp_path: Path):
    state: dict[str, Any] = _random_state(AUDIO_TOWER, VISUAL_TOWER, {4, 6}, {5, 7})
    torch.save({"state_dict": {name: value.half() for name, value in state.items()}}, tmp_path / "syncnet.pt")
    judge = load_sync_judge(tmp_path / "syncnet.pt").float()
    assert judge.options == SyncNetOptions(frames=16, region="lower", height=128, width=256, embedding=2048)
    faces, mels = torch.rand(1, 16, 3, 256, 256) * 2 - 1, torch.rand(1, 80, 52) * 8 - 4
    stacked = torch.cat([faces[:, k, :, 128:] for k in range(FRAMES)], dim=1)
    exact = {name: value.half().float() for name, value in state.items()}
    assert torch.allclose(
        judge.see(faces), _released("visual_encoder", exact, VISUAL_TOWER, {5, 7}, stacked), atol=1e-4
    )
    heard = _released("audio_encoder", exact, AUDIO_TOWER, {4, 6}, mels[:, None])
    assert torch.allclose(judge.hear(mels), heard, atol=1e-4)
    assert judge.see(faces).shape == (1, 2048)
    assert not any(p.requires_grad for p in judge.parameters())
