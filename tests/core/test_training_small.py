"""What small networks need from the trainer: scaled tokens, looks, shares, limits, and a VAE of their own."""

import numpy as np
import pytest

from musetalk_core.errors import OptionError
from musetalk_core.face.look import Look, LookOptions, apply_look, draw_look
from musetalk_core.training.balance import Clip, clip_weights, limited, read_shares

torch = pytest.importorskip("torch")


def test_scaled_tokens_fold_into_the_weights_and_back():
    from musetalk_core.models.load import empty_network
    from musetalk_core.models.recipe import NANO_UNET
    from musetalk_core.models.unet import position_code
    from musetalk_core.training.networks import TrainableLips
    from musetalk_core.training.normalise import measure_scale

    torch.manual_seed(0)
    unet = empty_network("UNet2DConditionModel", NANO_UNET, "cpu").eval()
    tokens = torch.randn(6, 50, 384) * torch.linspace(0.1, 20, 384) + torch.linspace(-5, 5, 384)
    scale = measure_scale([tokens], position_code(384))
    latents = torch.randn(6, 4, 16, 16), torch.randn(6, 4, 16, 16)
    with torch.no_grad():
        trained = TrainableLips(unet, scale=scale)(*latents, tokens)
        weights = {name: p.clone() for name, p in unet.named_parameters()}
        folded = scale.fold(weights)
        unet.load_state_dict(folded)
        raw = TrainableLips(unet)(*latents, tokens)
    assert not torch.allclose(weights["mid_block.attentions.0.transformer_blocks.0.attn2.to_v.weight"],
                              folded["mid_block.attentions.0.transformer_blocks.0.attn2.to_v.weight"])  # fmt: skip
    assert torch.allclose(trained, raw, atol=1e-4 * float(trained.abs().max()))
    back = scale.unfold(folded)
    assert all(torch.allclose(back[name], value, atol=1e-5) for name, value in weights.items())


def test_scaled_tokens_have_unit_variance_and_still_channels_are_not_blown_up():
    from musetalk_core.training.normalise import LEAST_SPREAD, measure_scale

    tokens = torch.randn(64, 50, 8) * 7 + 3
    tokens[..., 0] = 1.0
    scale = measure_scale([tokens], torch.zeros(50, 8))
    made = scale(tokens)
    assert torch.allclose(made[..., 1:].std(dim=(0, 1)), torch.ones(7), atol=0.01)
    assert float(scale.spread[0]) == pytest.approx(LEAST_SPREAD)


def test_a_look_changes_pictures_alike_and_none_leaves_them():
    crop = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert np.array_equal(apply_look(crop, Look(), 0), crop)
    assert np.array_equal(apply_look(crop, Look(mirror=True), 0), crop[:, ::-1])
    assert draw_look(LookOptions(), np.random.default_rng(3)) == Look()
    look = draw_look(LookOptions(strength=1.0, mirror=0.5), np.random.default_rng(3))
    shown = apply_look(crop, look, 0)
    assert shown.shape == crop.shape
    assert shown.dtype == np.uint8
    assert not np.array_equal(shown, crop)
    assert np.array_equal(shown, apply_look(crop, look, 0))


@pytest.mark.parametrize(
    ("look", "check"),
    [
        (Look(gains=(0.5, 1.0, 1.0)), lambda a, b: b[..., 0].mean() < 0.6 * a[..., 0].mean()),
        (Look(saturation=0.0), lambda a, b: np.ptp(b.astype(int), axis=2).max() <= 1),
        (Look(blur=6.0), lambda a, b: b.std() < 0.6 * a.std()),
        (Look(scale=0.35), lambda a, b: b.std() < 0.6 * a.std()),
        (Look(noise=8.0), lambda a, b: 2 < np.abs(b.astype(int) - a).mean() < 12),
        (Look(quality=25), lambda a, b: np.abs(b.astype(int) - a).mean() > 0),
        (Look(lift=0.08), lambda a, b: b.mean() > a.mean() + 10),
        (Look(gamma=1.5), lambda a, b: b.mean() < a.mean() - 10),
    ],
)
def test_each_part_of_a_look_does_what_it_says(look, check):
    crop = np.random.default_rng(1).integers(20, 236, (64, 64, 3), np.uint8)
    assert check(crop, apply_look(crop, look, 5))


def test_shares_and_limits_of_people(tmp_path):
    clips = [Clip(tmp_path, 100, name, 0.0) for name in ("s1", "s1", "s11", "portrait_1", "portrait_2")]
    weights = clip_weights(clips, 1, "people", "s1=0.3, portrait_*=0.2")
    assert weights.sum() == pytest.approx(1)
    assert weights[:2].sum() == pytest.approx(0.3)
    assert weights[2] == pytest.approx(0.5)
    assert [clip.person for clip in limited(clips, 100)] == ["s1", "s11", "portrait_1", "portrait_2"]
    assert limited(clips, 0) == clips
    for wrong in ("s1", "s1=x", "s1=0.7,s11=0.7", "s1=-1", "nobody=0.5"):
        with pytest.raises(OptionError):
            clip_weights(clips, 1, "frames", wrong)
    assert read_shares("") == []


def test_the_small_vae_is_called_as_taesd_is_and_its_file_loads(tmp_path):
    from musetalk_core.models.load import load_vae
    from musetalk_core.models.small_vae import NANO_VAE, SmallAutoencoder
    from musetalk_core.placement import SingleDevice
    from musetalk_core.training.autoencoder import save_small_vae

    torch.manual_seed(0)
    network = SmallAutoencoder(**NANO_VAE)
    save_small_vae(tmp_path / "vae.safetensors", network, network.state_dict())
    vae = load_vae(tmp_path / "vae.safetensors", SingleDevice("cpu", "fp32"))
    images = torch.rand(2, 3, 64, 48) * 2 - 1
    latents = vae.encode(images)
    assert latents.shape == (2, 4, 8, 6)
    assert vae.decode(latents).shape == images.shape
    alone = vae.encode(images[:1])
    assert torch.allclose(alone, latents[:1], atol=1e-5)  # pictures of a batch do not touch each other


def test_mouths_that_are_judged_alone_are_decoded_as_in_whole_faces():
    from musetalk_core.models.small_vae import NANO_VAE, SmallAutoencoder
    from musetalk_core.models.vae import TinyAutoencoder
    from musetalk_core.placement import SingleDevice
    from musetalk_core.training.config import make_config
    from musetalk_core.training.pictures import cut_windows
    from musetalk_core.training.step import Batch, Judges, Step

    torch.manual_seed(0)
    vae = TinyAutoencoder(SmallAutoencoder(**NANO_VAE), "small", SingleDevice("cpu", "fp32"))
    lips, judges = None, Judges()
    alone, whole = (
        Step(lips, vae, judges, make_config({"loss": {"pixel": pixel, "perceptual": 0.0, "mouth": 1.0}}))
        for pixel in (0.0, 1.0)
    )
    mouths = torch.tensor([[75.0, 140.0, 180.0, 245.0], [90.0, 130.0, 170.0, 210.0]])
    true, none = torch.full((2, 3, 256, 256), 9.0), torch.zeros(2)
    batch = Batch(none, none, none, true, None, mouths, none, 1)
    latents = torch.randn(2, 4, 32, 32, requires_grad=True)
    found = [cut_windows(step.pictures(latents, batch), mouths, 96) for step in (alone, whole)]
    spread = found[1].std()
    assert (found[0] - found[1]).abs().max() < 0.05 * spread
    pictures = alone.pictures(latents, batch)
    assert (pictures[..., :80, :] == 9).all()  # the true faces, not decoded
    pictures[..., 140:, :].sum().backward()
    assert latents.grad[..., :10, :].abs().sum() == 0
    assert latents.grad[..., 20:30, 12:20].abs().sum() > 0


def test_where_a_syncnet_looks_is_decoded_as_in_whole_faces():
    from musetalk_core.models.small_vae import NANO_VAE, SmallAutoencoder
    from musetalk_core.models.vae import TinyAutoencoder
    from musetalk_core.placement import SingleDevice
    from musetalk_core.training.config import make_config
    from musetalk_core.training.options import SyncNetOptions
    from musetalk_core.training.step import Batch, Judges, Step
    from musetalk_core.training.syncnet import SmallSyncNet, cut_region

    torch.manual_seed(0)
    vae = TinyAutoencoder(SmallAutoencoder(**NANO_VAE), "small", SingleDevice("cpu", "fp32"))
    judges = Judges(sync=SmallSyncNet(SyncNetOptions(frames=2, channels=8, embedding=16, region="lower")))
    losses = {"perceptual": 0.0, "mouth": 1.0, "sync": 0.1, "syncnet": "given"}
    part, whole = (Step(None, vae, judges, make_config({"loss": losses | {"pixel": pixel}})) for pixel in (0.0, 1.0))
    mouths, none = torch.tensor([[100.0, 150.0, 160.0, 200.0]] * 2), torch.zeros(2)
    batch = Batch(none, none, none, torch.full((2, 3, 256, 256), 9.0), None, mouths, none, 2)
    latents = torch.randn(2, 4, 32, 32)
    found = [step.pictures(latents, batch) for step in (part, whole)]
    seen = [cut_region(pictures, "lower") for pictures in found]
    assert (seen[0] - seen[1]).abs().max() < 0.05 * seen[1].std()
    assert (found[0][..., :100, :] == 9).all()  # the true faces, not decoded


def test_losses_of_the_mouth_look_at_the_mouth_alone():
    from musetalk_core.training.config import make_config
    from musetalk_core.training.step import Batch, Step, build_judges

    critic = {"mouth_critic": 0.1, "critic_start": 0, "critic_side": 64, "critic_channels": 4}
    config = make_config({"loss": {"pixel": 0.0, "perceptual": 0.0, "mouth": 1.0, "mouth_perceptual": 0.5, **critic}})
    assert config.loss.pixels
    step = Step.__new__(Step)
    step._loss, step._chunk = config.loss, 0
    step._judges = build_judges(config.loss, torch.device("cpu"))
    window = torch.tensor([[64.0, 128.0, 192.0, 256.0]])
    true = torch.rand(1, 3, 256, 256) * 2 - 1
    none = torch.zeros(1)
    batch = Batch(none, none, none, true, None, window, none, 1)
    pictures = (torch.rand(1, 3, 256, 256) * 2 - 1).requires_grad_(True)
    found = step.losses(batch, none, pictures, 0)
    assert set(found) == {"mouth pixel", "mouth perceptual", "mouth"}
    sum(found.values()).backward()
    assert pictures.grad[:, :, 130:250, 70:190].abs().sum() > 0
    assert pictures.grad[:, :, :120].abs().max() == 0
    assert pictures.grad[:, :, :, :60].abs().max() == 0
