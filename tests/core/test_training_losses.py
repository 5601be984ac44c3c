"""The losses: right sizes, right scales, right gradients."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from musetalk_core.errors import ModelError
from musetalk_core.models.checkpoint import save_safetensors
from musetalk_core.training.discriminators import Critic, PatchDiscriminator
from musetalk_core.training.features import IMAGENET_MEAN, IMAGENET_SPREAD, RandomFeatures, VGG19Features
from musetalk_core.training.losses import (
    LossOptions,
    latent_loss,
    latent_weights,
    perceptual_loss,
    pixel_loss,
)
from musetalk_core.training.pictures import cut_windows, mouth_windows, pyramid
from musetalk_core.training.syncnet import (
    SmallSyncNet,
    SyncNetOptions,
    contrast_loss,
    cut_region,
    load_sync_judge,
    mel_rows,
    save_syncnet,
    stack_frames,
    sync_loss,
)


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in torchvision's layout, classifier and later layers included, with random numbers."""
    path = tmp_path_factory.mktemp("vgg") / "vgg19.safetensors"
    channels = [64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", 512, 512]
    tensors, place, inputs = {}, 0, 3
    generator = torch.Generator().manual_seed(0)
    for outputs in channels:
        if outputs == "M":
            place += 1
            continue
        scale = (2 / (9 * inputs)) ** 0.5
        tensors[f"features.{place}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=generator) * scale
        tensors[f"features.{place}.bias"] = torch.zeros(outputs)
        place, inputs = place + 2, outputs
    tensors["classifier.0.weight"] = torch.zeros(2, 2)
    save_safetensors(path, tensors, {})
    return path


def test_defect_02_vgg_gets_what_imagenet_statistics_are_for(vgg_file):
    features = VGG19Features(vgg_file)
    for level in (0.0, 0.25, 1.0):  # as 0..1
        image = torch.full((1, 3, 4, 4), 2 * level - 1)
        expected = (level - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_SPREAD)
        assert torch.allclose(features.normalise(image)[0, :, 0, 0], expected, atol=1e-6)


def test_vgg_gives_the_five_layers_of_the_released_loss(vgg_file):
    features = VGG19Features(vgg_file)(torch.zeros(1, 3, 64, 64))
    assert [tuple(f.shape[1:]) for f in features] == [
        (64, 64, 64), (128, 32, 32), (256, 16, 16), (512, 8, 8), (512, 4, 4)
    ]  # fmt: skip
    assert not any(p.requires_grad for p in VGG19Features(vgg_file).parameters())


def test_another_file_is_no_vgg(tmp_path):
    save_safetensors(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, {})
    with pytest.raises(ModelError, match="VGG19"):
        VGG19Features(tmp_path / "x.safetensors")


def test_perceptual_loss_is_zero_for_equal_pictures_and_sees_blur():
    images = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(1)) * 2 - 1
    features = RandomFeatures()
    assert perceptual_loss(images, images, features).abs().max() == 0
    blurred = torch.nn.functional.avg_pool2d(images, 5, 1, 2)
    made = blurred.clone().requires_grad_(True)
    loss = perceptual_loss(made, images, features)
    assert loss.shape == (2,)
    loss.sum().backward()
    assert made.grad is not None
    assert made.grad.abs().max() > 0


def test_pyramid_does_not_alias_and_keeps_brightness():
    stripes = (torch.arange(224) % 2).float().expand(1, 3, 224, 224) * 2 - 1
    for picture, side in zip(pyramid(stripes, (224, 112, 56, 28)), (224, 112, 56, 28), strict=True):
        assert picture.shape[-1] == side
    assert pyramid(stripes, (224, 56))[1].abs().max() < 0.1
    even = torch.full((1, 3, 256, 256), 0.3)
    assert all(torch.allclose(p, torch.full_like(p, 0.3), atol=1e-5) for p in pyramid(even, (224, 112, 28)))


class _Recorder(torch.nn.Module):
    """A discriminator that remembers the sizes of what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = PatchDiscriminator((4, 4, 4, 4))
        self.sizes: list[int] = []

    def forward(self, images):
        self.sizes.append(images.shape[-1])
        return self.inner(images)


def test_defect_03_both_trainings_see_the_same_sizes():
    recorder = _Recorder()
    critic = Critic(recorder, (128, 64))
    fake, real = torch.rand(1, 3, 256, 256), torch.rand(1, 3, 256, 256)
    critic.discriminator_loss(fake, real)
    by_discriminator, recorder.sizes = set(recorder.sizes), []
    critic.generator_loss(fake, real, 1.0)
    assert by_discriminator == set(recorder.sizes) == {128, 64}


def test_defect_04_feature_matching_is_weighted_and_gated_with_the_critic():
    # The only way to feature matching is through the one generator term, which a single weight multiplies.
    torch.manual_seed(0)
    critic = Critic(PatchDiscriminator((4, 4, 4, 4)).eval(), (64,))
    fake, real = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    terms = [float(critic.generator_loss(fake, real, m)) for m in (0.0, 1.0, 2.0)]
    assert terms[1] > terms[0]
    assert terms[2] - terms[1] == pytest.approx(terms[1] - terms[0], rel=1e-4)


def test_the_generators_term_leaves_the_discriminator_alone_and_the_other_way_round():
    critic = Critic(PatchDiscriminator((4, 4, 4, 4)), (64,))
    fake = torch.rand(2, 3, 64, 64, requires_grad=True)
    real = torch.rand(2, 3, 64, 64)
    critic.generator_loss(fake, real, 1.0).backward()
    assert fake.grad is not None
    assert all(p.grad is None for p in critic.network.parameters())
    assert all(p.requires_grad for p in critic.network.parameters())
    fake.grad = None
    critic.discriminator_loss(fake, real).backward()
    assert fake.grad is None
    assert all(p.grad is not None for p in critic.network.parameters() if p.requires_grad)


def test_the_discriminator_has_the_released_layers_and_no_batch_norm():
    network = PatchDiscriminator()
    assert [tuple(c.weight.shape) for c in network.convolutions] == [
        (64, 3, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4), (512, 256, 4, 4)
    ]  # fmt: skip
    assert isinstance(network.norms[0], torch.nn.Identity)
    assert all(n.affine for n in list(network.norms)[1:])
    features, score = network(torch.zeros(1, 3, 256, 256))
    assert [f.shape[-1] for f in features] == [126, 61, 29, 26]
    assert score.shape == (1, 1, 26, 26)
    for part in (network, RandomFeatures()):
        assert not any(isinstance(m, torch.nn.modules.batchnorm._BatchNorm) for m in part.modules())


def test_samples_of_a_batch_do_not_touch_each_other():
    network = PatchDiscriminator((4, 4, 4, 4)).eval()
    images = torch.rand(3, 3, 64, 64)
    together = network(images)[1]
    alone = torch.cat([network(image[None])[1] for image in images])
    assert torch.allclose(together, alone, atol=1e-5)


def test_defect_06_the_mouth_is_not_squeezed_and_lies_where_the_lips_are():
    lips = torch.tensor([[[100.0, 170.0], [156.0, 170.0], [128.0, 160.0], [128.0, 200.0]]])
    window = mouth_windows(lips, 256)
    assert torch.allclose(window, torch.tensor([[90.0, 142.0, 166.0, 218.0]]))
    assert window[0, 2] - window[0, 0] == window[0, 3] - window[0, 1]
    rows, columns = torch.meshgrid(torch.arange(256.0) + 0.5, torch.arange(256.0) + 0.5, indexing="ij")
    picture = torch.stack([columns, rows, rows])[None]  # every pixel tells its place
    cut = cut_windows(picture, window, 76)
    assert torch.allclose(cut[0, 0, 0], torch.arange(90, 166) + 0.5, atol=1e-3)
    assert torch.allclose(cut[0, 1, :, 0], torch.arange(142, 218) + 0.5, atol=1e-3)


def test_a_mouth_at_the_edge_repeats_the_edge():
    cut = cut_windows(torch.full((1, 3, 32, 32), 0.5), torch.tensor([[20.0, 20.0, 50.0, 50.0]]), 16)
    assert torch.allclose(cut, torch.full_like(cut, 0.5))


def test_defect_12_every_cosine_has_a_gradient():
    cosine = torch.tensor([-0.99, -0.5, 0.0, 0.5, 0.99], requires_grad=True)
    sync_loss(cosine).backward()
    assert cosine.grad is not None
    assert (cosine.grad < -0.05).all()
    assert float(sync_loss(torch.zeros(3))) == pytest.approx(math.log(2), abs=1e-5)


def test_contrast_is_among_the_moments_of_a_clip_alone():
    vectors = torch.eye(4).reshape(2, 2, 4)  # two clips of two moments
    assert contrast_loss(vectors, vectors, 0.07) < 1e-5
    assert contrast_loss(vectors, vectors.flip(1), 0.07) > 10
    assert float(contrast_loss(vectors, vectors.flip(0), 0.07)) == pytest.approx(
        math.log(2)
    )  # the other clip's: no help


@pytest.mark.parametrize("frames", [5, 16, 25])
@pytest.mark.parametrize("region", ["face", "lower", "mouth"])
def test_window_length_and_region_are_options_and_survive_the_file(tmp_path, frames, region):
    network = SmallSyncNet(SyncNetOptions(frames=frames, region=region, channels=8, embedding=16)).eval()
    faces, mels = torch.rand(2, frames, 3, 64, 64), torch.rand(2, 80, mel_rows(frames))
    save_syncnet(tmp_path / "sync.safetensors", network)
    judge = load_sync_judge(tmp_path / "sync.safetensors")
    assert judge.options == network.options
    assert torch.equal(judge.see(faces), network.see(faces))
    assert torch.allclose(judge.hear(mels).norm(dim=1), torch.ones(2), atol=1e-5)


def test_regions_and_stack_follow_the_released_layout():
    faces = torch.arange(2 * 16 * 3).reshape(2, 16, 3, 1, 1).expand(2, 16, 3, 256, 256)
    stacked = stack_frames(cut_region(faces, "lower"))
    assert stacked.shape == (2, 48, 128, 256)
    assert stacked[0, :, 0, 0].tolist() == list(range(48))
    assert mel_rows(16) == 52


def test_latent_weights_and_losses_per_frame():
    options = LossOptions()
    weights = latent_weights(torch.tensor([[64.0, 160.0, 192.0, 224.0]]), 256, 32, options)
    assert weights[0, 0, 0, 0] == 0.25
    assert weights[0, 0, 31, 0] == 1
    assert weights[0, 0, 24, 16] == 4
    made, true = torch.zeros(2, 4, 32, 32), torch.zeros(2, 4, 32, 32)
    made[1] = 1
    loss = latent_loss(made, true, weights)
    assert loss[0] == 0
    assert float(loss[1]) == pytest.approx(float(weights.mean()) * 0.18215, rel=1e-5)
    assert np.allclose(pixel_loss(torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.5)), 0.5)
