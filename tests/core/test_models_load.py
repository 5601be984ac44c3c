"""From a name or a path to a model that fits together, or to one clear line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from musetalk_core.errors import ModelError
from musetalk_core.models import load
from musetalk_core.models.checkpoint import read_checkpoint, save_safetensors
from musetalk_core.models.convert import convert
from musetalk_core.models.layouts import read_weights
from musetalk_core.models.load import load_model, load_unet
from musetalk_core.models.recipe import NANO_UNET, OFFICIAL_UNET, RECIPES, find_recipe, require_encoder
from musetalk_core.models.registry import REGISTRY, FolderLocator, default_folder
from musetalk_core.models.unet import build_unet, position_code
from musetalk_core.placement import SingleDevice

CPU = SingleDevice("cpu", "fp32")


@pytest.fixture
def nowhere(tmp_path: Path) -> FolderLocator:
    return FolderLocator(tmp_path / "models")


def test_sizes_of_the_networks() -> None:
    released, nano = build_unet(OFFICIAL_UNET), build_unet(NANO_UNET)
    assert (sum(p.numel() for p in released.parameters()), len(released.state_dict())) == (849_947_844, 686)
    assert sum(p.numel() for p in nano.parameters()) == 4_233_204
    assert all(parameter.is_meta for parameter in released.parameters())


def test_recipes_are_complete() -> None:
    assert set(RECIPES) == {"nano", "1.0", "1.5"}
    for recipe in RECIPES.values():
        assert recipe.mask == "landmarks"  # works without a face parser
        assert recipe.audio_encoder in REGISTRY
        assert recipe.name == "nano" or {recipe.unet, recipe.vae} <= set(REGISTRY)
    assert RECIPES["1.5"].chin_margin * 246 == pytest.approx(10)
    assert (RECIPES["1.0"].chin_margin, RECIPES["1.0"].bbox_shift, RECIPES["1.0"].released_mask) == (0, True, "raw")
    with pytest.raises(ModelError, match=r"no recipe '2\.0'"):
        find_recipe("2.0")


def test_the_wrong_whisper_is_refused_by_name() -> None:
    require_encoder(RECIPES["1.5"], "whisper-tiny")
    with pytest.raises(ModelError, match=r"MuseTalk 1.5 .* whisper-tiny, not of whisper-tiny.en"):
        require_encoder(RECIPES["1.5"], "whisper-tiny.en")
    with pytest.raises(ModelError, match=r"whisper-tiny.en, not of whisper-tiny\."):
        require_encoder(RECIPES["nano"], "whisper-tiny")


def test_position_code() -> None:
    code = position_code(384)
    assert code.shape == (50, 384)
    assert torch.equal(code[0], torch.tensor([0.0, 1.0]).repeat(192))
    torch.testing.assert_close(code[:, 0], torch.sin(torch.arange(50.0)))
    torch.testing.assert_close(code[7, 3], torch.cos(torch.tensor(7 / 10_000 ** (2 / 384))))
    torch.testing.assert_close(code[:, 0::2] ** 2 + code[:, 1::2] ** 2, torch.ones(50, 192))


def test_a_folder_is_a_model(nano_folder: Path, nowhere: FolderLocator) -> None:
    model = load_model(str(nano_folder), nowhere, CPU)
    assert model.recipe is RECIPES["nano"]
    assert (model.audio.identity, model.source) == ("whisper-tiny.en", nano_folder / "unet.safetensors")
    assert model.vae.identity.startswith("tiny-")
    same = load_model(str(nano_folder / "unet.safetensors"), nowhere, CPU)
    assert same.vae.identity == model.vae.identity


def test_what_the_unet_is_given(nano_folder: Path, nowhere: FolderLocator) -> None:
    """Scaled latents of both kinds, step 0, raw features plus position; the answer is scaled back."""
    lips = load_model(str(nano_folder), nowhere, CPU).lips
    masked, reference, tokens = torch.randn(2, 4, 32, 32), torch.randn(2, 4, 32, 32), torch.randn(2, 50, 384)
    unet = build_unet(NANO_UNET).to_empty(device="cpu").float().eval()
    unet.load_state_dict({k: v.float() for k, v in load_file(nano_folder / "unet.safetensors").items()})
    with torch.no_grad():
        scaled = torch.cat([masked * 0.18215, reference * 0.18215], 1)
        expected = unet(scaled, 0, encoder_hidden_states=tokens + position_code(384)).sample / 0.18215
    torch.testing.assert_close(lips(masked, reference, tokens), expected, atol=1e-4, rtol=1e-4)
    silent = lips(masked, reference, torch.zeros(2, 50, 384))
    assert (silent - expected).abs().max() > 0.01  # the sound has an effect
    assert lips(masked, reference, tokens, torch.bfloat16).dtype == torch.float32
    result = lips(masked, reference, tokens)
    result += 1  # not a tensor of inference mode
    with pytest.raises(ModelError, match=r"takes 50 sound tokens of 384 features, not \(50, 512\)"):
        lips(masked, reference, torch.zeros(2, 50, 512))


def test_partners_by_path_and_by_locator(nano_folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(nano_folder / "unet.safetensors", alone)
    locator = FolderLocator(tmp_path / "models")
    with pytest.raises(ModelError, match="lie beside its U-Net"):
        load_model(str(alone), locator, CPU)
    with pytest.raises(ModelError, match=r"Whisper tiny, English only .* is not there: .*model.safetensors, 151 MB"):
        load_model(str(alone), locator, CPU, vae=nano_folder / "vae.safetensors")
    place = locator.folder / "whisper-tiny.en" / "model.safetensors"
    place.parent.mkdir(parents=True)
    shutil.copy(nano_folder / "audio_encoder.safetensors", place)
    assert load_model(str(alone), locator, CPU, vae=nano_folder / "vae.safetensors").audio.identity == "whisper-tiny.en"


def test_a_sound_encoder_that_does_not_fit_is_refused(
    nano_folder: Path, tmp_path: Path, nowhere: FolderLocator
) -> None:
    path = tmp_path / "other.safetensors"
    checkpoint = read_checkpoint(nano_folder / "audio_encoder.safetensors")
    save_safetensors(path, checkpoint.tensors, {**checkpoint.header, "identity": "whisper-tiny"})
    with pytest.raises(ModelError, match=r"sound features of whisper-tiny.en, not of whisper-tiny\."):
        load_model(str(nano_folder), nowhere, CPU, audio_encoder=path)
    shallow = {name: value for name, value in checkpoint.tensors.items() if not name.startswith("layers.3.")}
    config = {**checkpoint.header["config"], "encoder_layers": 3}
    save_safetensors(path, shallow, {**checkpoint.header, "config": config})
    with pytest.raises(ModelError, match="gives 4 states of 384 features"):
        load_model(str(nano_folder), nowhere, CPU, audio_encoder=path)
    save_safetensors(path, checkpoint.tensors, {**checkpoint.header, "identity": None})
    with pytest.raises(ModelError, match="does not say which Whisper"):
        load_model(str(nano_folder), nowhere, CPU, audio_encoder=path)


def test_files_in_the_wrong_place_are_named(nano_folder: Path, nowhere: FolderLocator) -> None:
    with pytest.raises(ModelError, match=r"vae.safetensors is a tiny VAE \(TAESD\), not a MuseTalk U-Net"):
        load_model(str(nano_folder / "vae.safetensors"), nowhere, CPU)
    with pytest.raises(ModelError, match="is a MuseTalk U-Net, not a Stable Diffusion 1 VAE or tiny VAE"):
        load_model(str(nano_folder), nowhere, CPU, vae=nano_folder / "unet.safetensors")


def test_names_that_lead_nowhere(tmp_path: Path, nowhere: FolderLocator, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"no model 'nono'\. Use nano, 1.0, 1.5"):
        load_model("nono", nowhere, CPU)
    with pytest.raises(ModelError, match="holds no U-Net"):
        load_model(str(tmp_path), nowhere, CPU)
    monkeypatch.setattr(load, "EMBEDDED", tmp_path)
    with pytest.raises(ModelError, match=r"embedded model is not there: .*unet.safetensors"):
        load_model("nano", nowhere, CPU)
    with pytest.raises(ModelError, match=r"MuseTalk 1.5 U-Net is not there: .*unet.pth, 3400 MB.*models get"):
        load_model("1.5", nowhere, CPU)


def test_the_model_folder_is_looked_up_at_each_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MUSETALK_MODELS", raising=False)
    assert default_folder() == Path.home() / ".musetalk" / "models"
    locator = FolderLocator()
    monkeypatch.setenv("MUSETALK_MODELS", str(tmp_path))
    assert locator.folder == tmp_path


def test_recipe_of_a_file(nano_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = load_file(nano_folder / "unet.safetensors")
    torch.save(tensors, tmp_path / "bare.pth")
    assert load_unet(tmp_path / "bare.pth", CPU).recipe.name == "nano"
    # A small net stands for the released one, which takes 3.4 GB.
    monkeypatch.setattr("musetalk_core.models.layouts.OFFICIAL_UNET", NANO_UNET)
    monkeypatch.setattr("musetalk_core.models.layouts.NANO_UNET", {"block_out_channels": (0,)})
    for place, recipe in (("musetalk/pytorch_model.bin", "1.0"), ("musetalkV15/unet.pth", "1.5"), ("u.ckpt", "1.5")):
        path = tmp_path / place
        path.parent.mkdir(exist_ok=True)
        torch.save(tensors, path)
        assert load_unet(path, CPU).recipe.name == recipe
    assert load_unet(tmp_path / "u.ckpt", CPU, "1.0").recipe.name == "1.0"
    with pytest.raises(ModelError, match=r"was made for recipe nano, not 1\.5"):
        load_unet(nano_folder / "unet.safetensors", CPU, "1.5")


def test_headers_of_the_future_are_refused(nano_folder: Path, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(nano_folder / "unet.safetensors")
    path = tmp_path / "u.safetensors"
    for change, message in (
        ({"version": 99}, "has version 99 of our format"),
        ({"network": "Transformer9"}, "unknown network: 'Transformer9'"),
        ({"config": {**checkpoint.header["config"], "block_out_channels": [48, 64]}}, "configuration is not valid"),
        ({"recipe": "9.9"}, "no recipe '9.9'"),
    ):
        save_safetensors(path, checkpoint.tensors, {**checkpoint.header, **change})
        with pytest.raises(ModelError, match=message):
            load_unet(path, CPU)


@pytest.mark.parametrize("part", ["unet", "vae", "audio_encoder"])
def test_converting_keeps_every_number(nano_folder: Path, tmp_path: Path, part: str) -> None:
    source = nano_folder / f"{part}.safetensors"
    once = convert(source, tmp_path / "once.safetensors")
    again = read_weights(tmp_path / "once.safetensors")
    assert again.header() == once.header() == read_weights(source).header()
    original = load_file(source)
    assert all(torch.equal(value, original[name]) for name, value in again.tensors.items())
    convert(source, tmp_path / "wide.safetensors", precision="fp32")
    assert {value.dtype for value in read_weights(tmp_path / "wide.safetensors").tensors.values()} == {torch.float32}


def test_converting_foreign_layouts(assets: Path, tmp_path: Path) -> None:
    weights = assets / "weights"
    tiny = convert(weights / "taesd_decoder_bf16.safetensors", tmp_path / "vae.safetensors")
    assert (tiny.kind, len(tiny.tensors)) == ("AutoencoderTiny", 134)
    whisper = convert(weights / "whisper_tiny_en_encoder_fp16.safetensors", tmp_path / "audio_encoder.safetensors")
    assert read_weights(tmp_path / "audio_encoder.safetensors").identity == whisper.identity == "whisper-tiny.en"


def test_what_cannot_be_converted(nano_folder: Path, tmp_path: Path) -> None:
    source = nano_folder / "vae.safetensors"
    with pytest.raises(ModelError, match="is the source itself"):
        convert(source, source)
    with pytest.raises(ModelError, match=r"must end in .safetensors"):
        convert(source, tmp_path / "vae.pth")
    with pytest.raises(ModelError, match="only a U-Net has a recipe"):
        convert(source, tmp_path / "v.safetensors", recipe="1.5")
    save_file({"lora.down": torch.ones(2)}, str(tmp_path / "lora.safetensors"))
    with pytest.raises(ModelError, match=r"is none of: MuseTalk U-Net, .*\(1 keys, first: lora.down\)"):
        convert(tmp_path / "lora.safetensors", tmp_path / "v.safetensors")
    assert not (tmp_path / "v.safetensors").exists()


def peak_gigabytes() -> float:
    """The process's largest memory so far that is not mapped from files."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")) / 1e6


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from /proc")
def test_the_released_unet_in_every_file(tmp_path: Path) -> None:
    """850 M random numbers in half precision, in the names and formats of the released files."""
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.randn(value.shape, generator=generator, dtype=torch.float16) * 0.02
        for name, value in build_unet(OFFICIAL_UNET).state_dict().items()
    }
    assert len(tensors) == 686
    before = peak_gigabytes()
    for place, recipe in (
        ("musetalkV15/unet.pth", "1.5"),
        ("musetalk/pytorch_model.bin", "1.0"),
        ("x/unet.safetensors", "1.5"),
    ):
        path = tmp_path / place
        path.parent.mkdir()
        if path.suffix == ".safetensors":
            save_file(tensors, str(path))
        else:
            torch.save(tensors, path)
        lips = load_unet(path, CPU)
        assert lips.recipe.name == recipe
        found = lips.network.state_dict()
        assert list(found) == list(tensors)
        assert all(torch.equal(found[name], value) for name, value in tensors.items())
        assert peak_gigabytes() - before < 0.5  # mapped from the file, never a second time in memory
        del lips, found
        path.unlink()
