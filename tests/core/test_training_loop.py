"""A run: continued after a kill it is the same run, and two processes are one with twice the batch."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from musetalk_core.audio.read import read_audio
from musetalk_core.errors import MediaError, ModelError, OptionError
from musetalk_core.models.checkpoint import read_checkpoint, save_safetensors
from musetalk_core.models.load import load_unet
from musetalk_core.models.recipe import RECIPES
from musetalk_core.models.registry import REGISTRY
from musetalk_core.placement import SingleDevice
from musetalk_core.portraits.footage import portrait_footage
from musetalk_core.training.building import RECIPE_OF_SIZE
from musetalk_core.training.config import TrainConfig, load_config, make_config
from musetalk_core.training.cutting import FORMAT as CLIP_FORMAT
from musetalk_core.training.cutting import write_json
from musetalk_core.training.log import read_log
from musetalk_core.training.options import SyncNetOptions
from musetalk_core.training.prepare import FORMAT
from musetalk_core.training.schedule import rate_at
from musetalk_core.training.syncnet import SmallSyncNet, save_syncnet
from musetalk_core.video.probe import probe

REPO = Path(__file__).resolve().parents[2]
FRAMES = 30


def write_dataset(folder: Path) -> None:
    """Three drawn people with random sound features, as `prepare` would write them."""
    videos = []
    for seed, split in ((1, "train"), (2, "train"), (3, "validation")):
        footage = portrait_footage(seed, FRAMES / 25, width=96, height=96, faults=0.0)
        landmarks = footage.truth().landmarks
        random = torch.Generator().manual_seed(seed)
        tensors = {
            "faces": torch.from_numpy(footage.read(range(FRAMES))),
            "landmarks": torch.from_numpy(landmarks),
            "times": (torch.arange(FRAMES, dtype=torch.float64) + 0.5) / 25,
            "steps": torch.randn(60, 5, 384, generator=random).half(),
            "mel": torch.randn(97, 80, generator=random),
            "sound": torch.zeros(19200, dtype=torch.int16),
        }
        header = {
            "format": CLIP_FORMAT, "version": 1, "encoder": "whisper-tiny.en", "seconds": "6/5", "first_step": 0,
            "first_row": 0, "first_sample": 0,
        }  # fmt: skip
        for name in ("clip-0000.safetensors", "clip-0001.safetensors"):
            save_safetensors(folder / "videos" / str(seed) / name, tensors, header)
        clips = [{"file": f"clip-000{k}.safetensors", "frames": FRAMES} for k in range(2)]
        videos.append({
            "person": str(seed), "source": f"{seed}.mp4", "seconds": 1.2, "clips": clips, "refused": None,
            "encoder": "whisper-tiny.en", "folder": f"videos/{seed}", "offset_ms": 0.0, "confidence": 1.0,
            "split": split,
        })  # fmt: skip
    index = {"format": FORMAT, "version": 1, "encoder": "whisper-tiny.en", "videos": videos}
    write_json(folder / "dataset.json", index)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder)
    return folder


def settings(dataset: Path, nano: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    """A small run with every kind of loss but sync."""
    content: dict[str, Any] = {
        "data": {"folder": str(dataset), "face_size": 64, "frames": 1},
        "network": {"vae": str(nano / "vae.safetensors"), "audio_encoder": str(nano / "audio_encoder.safetensors")},
        "loss": {"latent": 1.0, "face_critic": 0.01, "critic_side": 64, "critic_start": 1},
        "optimiser": {"rate": 1e-3, "warmup": 2, "ema": 0.5},
        "run": {
            "folder": str(folder), "updates": 6, "batch": 2, "accumulate": 1, "device": "cpu", "validate_every": 0,
            "checkpoint_every": 2,
        },
        "validation": {"samples": 2, "sheet": 2},
    }  # fmt: skip
    for table, values in changes.items():
        content.setdefault(table, {}).update(values)
    return content


def train(content: dict[str, Any]) -> list[dict[str, Any]]:
    from musetalk_core.training.loop import Trainer

    Trainer(make_config(content)).run()
    return [line for line in read_log(Path(content["run"]["folder"]) / "log.jsonl") if line["kind"] == "train"]


def losses(log: list[dict[str, Any]]) -> np.ndarray:
    names = ("latent", "pixel", "perceptual")
    return np.array([[line[name] for name in names] for line in log])


@pytest.fixture(scope="module")
def plain(data: Path, nano_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("plain")
    return folder, train(settings(data, nano_folder, folder))


def _write_toml(path: Path, content: dict[str, Any]) -> None:
    lines = []
    for table, values in content.items():
        lines.append(f"[{table}]")
        lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    path.write_text("\n".join(lines) + "\n")


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO), **more}


RUN = "import sys; from pathlib import Path; from musetalk_core.training.config import load_config; " \
      "from musetalk_core.training.loop import Trainer; Trainer(load_config(Path(sys.argv[1]))).run()"  # fmt: skip


@pytest.mark.slow
def test_defect_13_a_killed_run_goes_on_as_if_nothing_had_happened(plain, data, nano_folder, tmp_path):
    content = settings(data, nano_folder, tmp_path / "run")
    _write_toml(tmp_path / "run.toml", content)
    process = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path / "run.toml")], env=_environment())
    until = time.monotonic() + 120
    while len(read_log(tmp_path / "run" / "log.jsonl")) < 3 and time.monotonic() < until:
        time.sleep(0.02)
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    killed_at = len(read_log(tmp_path / "run" / "log.jsonl"))
    assert 3 <= killed_at < 6
    log = train(content)
    assert [line["update"] for line in log] == [1, 2, 3, 4, 5, 6]
    assert np.abs(losses(log) - losses(plain[1])).max() <= 1e-6
    for name in ("face", "face critic"):
        ours, theirs = ([line.get(name, 0.0) for line in part] for part in (log, plain[1]))
        assert np.allclose(ours, theirs, atol=1e-6)
    ours, theirs = (read_checkpoint(f / "model" / "unet.safetensors").tensors for f in (tmp_path / "run", plain[0]))
    assert max(float((ours[k] - theirs[k]).abs().max()) for k in theirs) <= 1e-6


def test_defect_13_a_run_goes_on_from_its_checkpoint(data, nano_folder, tmp_path):
    content = settings(data, nano_folder, tmp_path, loss={"face_critic": 0.0}, run={"updates": 4})
    first = losses(train(content))
    (tmp_path / "checkpoints" / "update-00000004.safetensors").unlink()
    second = losses(train(content))
    assert first.shape == (4, 3)
    assert np.abs(first - second).max() <= 1e-6


def test_defect_13_the_rate_follows_the_updates(plain):
    whole = plain[1]
    rates = [line["rate"] for line in whole]
    expected = [1e-3 * rate_at(k, 6, 2, 0.0, "linear") for k in range(6)]
    assert np.allclose(rates, expected)


def test_defect_13_the_schedule_counts_updates_not_micro_batches_or_processes():
    rates = [rate_at(k, 31_250, 1000, 0.0, "linear") for k in range(31_250)]
    assert rates[0] == pytest.approx(1 / 1000)
    assert max(rates) == 1.0
    assert rates[-1] == 0
    assert rates[16_125] == pytest.approx(0.5, abs=1e-3)
    assert rate_at(99, 100, 10, 0.2, "cosine") == pytest.approx(0.2)
    assert rate_at(50, 100, 10, 0.0, "constant") == 1.0


def test_defect_05_discriminators_are_saved_and_restored(plain):
    checkpoint = read_checkpoint(plain[0] / "checkpoints" / "update-00000006.safetensors")
    names = {name.split("/")[0] for name in checkpoint.tensors}
    assert names == {"unet", "ema", "adam", "face-critic", "face-critic-adam", "rng"}
    assert checkpoint.header["update"] == 6


def test_defect_04_score_and_feature_matching_wait_for_the_same_update(plain):
    assert [("face" in line, "face critic" in line) for line in plain[1]] == [(False, True), *[(True, True)] * 5]


def test_only_the_newest_checkpoints_are_kept_and_the_model_loads(plain):
    assert sorted(p.name for p in (plain[0] / "checkpoints").iterdir()) == [
        "update-00000004.safetensors", "update-00000006.safetensors"
    ]  # fmt: skip
    lips = load_unet(plain[0] / "model" / "unet.safetensors", SingleDevice("cpu", "fp32"))
    assert lips.recipe.name == "nano"
    assert (plain[0] / "model" / "vae.safetensors").is_file()
    assert (plain[0] / "model" / "audio_encoder.safetensors").is_file()


def test_a_continuation_with_other_options_is_refused(plain, data, nano_folder):
    with pytest.raises(OptionError, match=r"loss\.pixel"):
        train(settings(data, nano_folder, plain[0], loss={"pixel": 2.0}))


def test_a_run_goes_on_after_the_program_learned_new_options(plain, data, nano_folder):
    from musetalk_core.training.state import _require_same

    config = make_config(settings(data, nano_folder, plain[0])).as_dict()
    older = {table: dict(values) for table, values in config.items()}
    del older["data"]["generated"], older["look"]
    _require_same(older, config, Path("x"))
    with pytest.raises(OptionError, match=r"data\.generated"):
        _require_same(older, config | {"data": {**config["data"], "generated": 3}}, Path("x"))


def test_a_half_written_checkpoint_is_not_taken(plain, data, nano_folder, tmp_path):
    from musetalk_core.training.state import newest

    (tmp_path / "update-00000002.safetensors").touch()
    (tmp_path / "update-00000004.safetensors.abc.part").touch()
    assert newest(tmp_path) == tmp_path / "update-00000002.safetensors"


def test_accumulation_equals_a_larger_batch(data, nano_folder, tmp_path):
    runs = {}
    for name, batch, accumulate in (("one", 4, 1), ("two", 2, 2)):
        run = {"updates": 2, "batch": batch, "accumulate": accumulate}
        runs[name] = losses(train(settings(data, nano_folder, tmp_path / name, run=run)))
    assert np.abs(runs["one"] - runs["two"]).max() <= 1e-5


@pytest.mark.slow
def test_defect_05_two_processes_train_as_one_with_twice_the_batch(data, nano_folder, tmp_path):
    alone = train(settings(data, nano_folder, tmp_path / "alone", run={"updates": 3, "batch": 4}))
    content = settings(data, nano_folder, tmp_path / "both", run={"updates": 3, "batch": 2})
    _write_toml(tmp_path / "both.toml", content)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, str(tmp_path / "both.toml")],
            env=_environment(RANK=str(rank), LOCAL_RANK=str(rank), **world),
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=200) for process in processes] == [0, 0]
    both = [line for line in read_log(tmp_path / "both" / "log.jsonl") if line["kind"] == "train"]
    assert len(both) == 3
    difference = np.abs(losses(both) / losses(alone) - 1).max(axis=1)
    assert difference[0] <= 1e-6
    assert (
        difference.max() <= 1e-4
    )  # Adam's first steps have the size of the rate whatever the gradient: they amplify rounding
    assert both[0]["face critic"] == pytest.approx(alone[0]["face critic"], rel=1e-6)
    for name in ("face", "face critic"):
        assert both[-1][name] == pytest.approx(alone[-1][name], rel=1e-3)
    ours, theirs = (
        read_checkpoint(tmp_path / name / "checkpoints" / "update-00000003.safetensors").tensors
        for name in ("both", "alone")
    )
    critic = [k for k in theirs if k.startswith("face-critic/")]
    assert max(float((ours[k] - theirs[k]).abs().max()) for k in critic) <= 1e-4


def test_defect_14_stage_two_begins_with_the_file_that_stage_one_wrote(plain, data, nano_folder, tmp_path):
    from musetalk_core.training.loop import Trainer

    start = plain[0] / "model" / "unet.safetensors"
    content = settings(data, nano_folder, tmp_path / "two", network={"start": str(start)})
    trainer = Trainer(make_config(content))
    stored = read_checkpoint(start).tensors
    assert all(torch.equal(p, stored[name]) for name, p in trainer.unet.named_parameters())
    content["network"]["start"] = str(tmp_path / "missing.safetensors")
    with pytest.raises(ModelError, match="does not exist"):
        Trainer(make_config(content))


@pytest.mark.parametrize("dubs", [0, 1])
def test_validation_judges_held_out_people_and_writes_a_sheet(data, nano_folder, tmp_path, dubs):
    run = {"updates": 1, "validate_every": 1}
    content = settings(data, nano_folder, tmp_path, run=run, validation={"dubs": dubs, "dub_frames": 16})
    train(content)
    lines = [line for line in read_log(tmp_path / "log.jsonl") if line["kind"] == "validation"]
    assert len(lines) == 1
    assert lines[0]["lower_l1"] > 0
    assert (tmp_path / "sheets" / "update-00000001.png").stat().st_size > 1000
    assert "sound_gain" in lines[0]
    assert ({"dub", "chance", "leak"} <= set(lines[0])) == bool(dubs)
    info = probe(tmp_path / "sheets" / "update-00000001.mp4")
    assert (info.frames, info.width, info.height) == (16, 128, 64)  # the clip and its dub, side by side
    assert len(read_audio(tmp_path / "sheets" / "update-00000001.mp4").samples) > 9000


def test_the_sync_loss_trains_with_its_own_window(data, nano_folder, tmp_path):
    torch.manual_seed(0)
    network = SmallSyncNet(SyncNetOptions(frames=5, channels=8, embedding=16, height=16, width=32))
    save_syncnet(tmp_path / "sync.safetensors", network)
    loss = {"sync": 0.05, "syncnet": str(tmp_path / "sync.safetensors"), "face_critic": 0.0}
    content = settings(data, nano_folder, tmp_path / "run", loss=loss, run={"updates": 1}, data={"frames": 5})
    assert train(content)[0]["sync"] > 0
    content = settings(data, nano_folder, tmp_path / "short", loss=loss, run={"updates": 1}, data={"frames": 4})
    with pytest.raises(OptionError, match="5 frames"):
        train(content)


def test_a_part_of_the_window_is_generated_and_the_rest_is_true(data, nano_folder, tmp_path):
    from musetalk_core.training.loop import Trainer

    torch.manual_seed(0)
    network = SmallSyncNet(SyncNetOptions(frames=5, channels=8, embedding=16, height=16, width=32))
    save_syncnet(tmp_path / "sync.safetensors", network)
    loss = {"sync": 0.05, "syncnet": str(tmp_path / "sync.safetensors"), "face_critic": 0.0}
    for views in (0, 2):
        part = {"frames": 5, "generated": 2, "views": views}
        run = {"updates": 1, "workers": 0}
        trainer = Trainer(
            make_config(settings(data, nano_folder, tmp_path / f"{views}", loss=loss, run=run, data=part))
        )
        sample = trainer.samples[3]
        first = int(sample["first"])
        assert sample["window"].shape == (5, 64, 64, 3)
        assert sample["tokens"].shape[0] == sample["lips"].shape[0] == 2
        assert torch.equal(sample["window"][first : first + 2], sample["targets"])
        clip, whole = trainer.samples.choose(3).clip, trainer.samples.choose(3).window
        mel = read_checkpoint(trainer.samples.clips[clip].path).tensors["mel"]
        row = int(80 * whole[0] / 25)
        assert torch.equal(sample["mel"], mel[row : row + 16].T)  # of the whole window, not of the targets
        trainer.run()
        assert read_log(tmp_path / f"{views}" / "log.jsonl")[0]["sync"] > 0
    longer = {"frames": 8, "generated": 2}  # the run could lie where the SyncNet does not look
    with pytest.raises(OptionError, match="5 frames"):
        Trainer(make_config(settings(data, nano_folder, tmp_path / "longer", loss=loss, data=longer)))


def test_another_sound_encoder_is_refused(data, nano_folder, tmp_path):
    index = json.loads((data / "dataset.json").read_text())
    index["encoder"] = "whisper-tiny"
    for video in index["videos"]:
        video["folder"] = str(data / video["folder"])
    write_json(tmp_path / "dataset.json", index)
    with pytest.raises(MediaError, match="heard by whisper-tiny"):
        train(settings(tmp_path, nano_folder, tmp_path / "run"))


def test_stored_latents_are_those_of_fresh_crops(data, nano_folder, tmp_path):
    from musetalk_core.training.loop import Trainer

    content = settings(data, nano_folder, tmp_path, data={"views": 2}, run={"updates": 2, "workers": 0})
    trainer = Trainer(make_config(content))
    sample = trainer.samples[5]
    assert sample["latents"].shape == (1, 3, 4, 8, 8)
    whole = trainer.vae.encode(sample["targets"].permute(0, 3, 1, 2).float() / 127.5 - 1)
    assert torch.allclose(whole, sample["latents"][:, 2], atol=0.02 * float(whole.abs().max()))
    seen = {trainer.samples.choose(k).views for k in range(40)}
    assert len(seen) == 4  # two views of the target times two of the reference
    trainer.run()
    assert len(list((data / "latents").rglob("*.safetensors"))) == 8  # 4 training clips, 2 views; nobody held out


def test_a_small_vae_trains_continues_exactly_and_can_keep_its_encoder(data, nano_folder, tmp_path):
    from musetalk_core.models.load import load_network
    from musetalk_core.training.autoencoder import train_autoencoder

    def weights(name: str, updates: int, **autoencoder: Any) -> dict[str, torch.Tensor]:
        content = settings(data, nano_folder, tmp_path / name, autoencoder={"window": 32, **autoencoder})
        content["loss"]["perceptual"] = 0.0  # these windows are too small for it
        content["run"]["updates"] = updates
        train_autoencoder(make_config(content))
        return load_network(tmp_path / name / "vae.safetensors", "SmallAutoencoder").state_dict()

    whole = weights("whole", 4)
    weights("parts", 2)
    parts = weights("parts", 4)
    losses = [line["pixel"] for line in read_log(tmp_path / "whole" / "log.jsonl") if line["kind"] == "train"]
    assert len(losses) == 4
    assert np.isfinite(losses).all()
    assert all(torch.equal(parts[name], value) for name, value in whole.items())
    start = str(tmp_path / "whole" / "vae.safetensors")
    tuned = weights("tuned", 2, start=start, freeze_encoder=True, latent=0.0, teacher=0.0)
    changed = {name.split(".")[0] for name, value in tuned.items() if not torch.allclose(value, whole[name], atol=1e-6)}
    assert changed == {"decoder"}


def test_bf16_trains(data, nano_folder, tmp_path):
    loss = {"perceptual": 0.0, "face_critic": 0.0}
    log = train(settings(data, nano_folder, tmp_path, loss=loss, run={"updates": 1, "batch": 1, "precision": "bf16"}))
    assert np.isfinite([log[0]["latent"], log[0]["pixel"]]).all()


def test_configs_of_ours_are_valid_and_differ_in_stage():
    for name in ("stage1", "stage2", "small1", "small2"):
        config = load_config(Path(name), ['run.folder="x"'])
        assert isinstance(config, TrainConfig)
        assert bool(config.network.start) == name.endswith("2")
        assert bool(config.loss.face_critic) == name.endswith("2")


@pytest.mark.parametrize("name", ["stage1", "stage2", "small1", "small2"])
def test_configs_of_ours_name_files_where_the_downloads_put_them(name):
    network = load_config(Path(name)).network
    recipe = RECIPES[RECIPE_OF_SIZE["official" if name.startswith("stage") else network.size]]
    for path, entries in ((network.vae, [recipe.vae, "taesd"]), (network.audio_encoder, [recipe.audio_encoder])):
        known = [f"models/{file.place}" for entry in entries if entry in REGISTRY for file in REGISTRY[entry].files]
        assert path in known


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[nothing]\n", "no table"),
        ("[run]\nspeed = 1\n", "no 'speed'"),
        ("[run]\nbatch = 0\n", "out of range"),
        ("[run]\nfolder = 3\n", "not of type str"),
        ("run = 3\n", "must be a table"),
        ("[run\n", "not valid TOML"),
        ("[loss]\nsync = 0.1\n", "syncnet"),
        ('[loss]\nfeatures = "vgg19"\n', "vgg19"),
        ("[loss]\ncritic_side = 64\ncritic_scales = 2\n", "too small"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(tmp_path, text, words):
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(OptionError, match=words):
        load_config(tmp_path / "x.toml")


def test_changes_count_before_the_file(tmp_path):
    (tmp_path / "x.toml").write_text('[run]\nfolder = "a"\nbatch = 3\n')
    config = load_config(tmp_path / "x.toml", ["run.batch=5", "loss.features=random", "run.folder=b c"])
    assert (config.run.batch, config.run.folder) == (5, "b c")
    with pytest.raises(OptionError, match="changes nothing"):
        load_config(tmp_path / "x.toml", ["batch"])


def test_an_adapter_alone_is_trained_continues_exactly_and_does_the_same_on_the_u_net(
    plain, data, nano_folder, tmp_path
):
    pytest.importorskip("peft")
    from musetalk_core.models.adapter import apply_adapter, load_adapter
    from musetalk_core.training.loop import Trainer

    start = plain[0] / "model" / "unet.safetensors"
    network = {"adapter": 2, "start": str(start)}
    loss = {"face_critic": 0.0, "pixel": 0.0, "perceptual": 0.0}
    content = settings(
        data, nano_folder, tmp_path / "run", network=network, loss=loss, optimiser={"schedule": "constant"}
    )
    content["run"]["updates"] = 3
    trainer = Trainer(make_config(content))
    trainer.run()
    weights = {name: p for name, p in trainer.unet.named_parameters() if "lora_" not in name}
    network = load_unet(start, SingleDevice("cpu", "fp32")).network
    for name, p in network.named_parameters():
        inside = (
            name
            if name in weights
            else name.replace(".weight", ".base_layer.weight").replace(".bias", ".base_layer.bias")
        )
        assert torch.equal(weights[inside], p)
    assert not (tmp_path / "run" / "model").exists()
    adapter = load_adapter(tmp_path / "run" / "adapter.safetensors")
    assert adapter.recipe == "nano"
    apply_adapter(network, "nano", adapter)
    latents, tokens = torch.randn(2, 8, 8, 8), torch.randn(2, 50, 384)
    trainer._put(trainer.ema)
    plain_unet = load_unet(start, SingleDevice("cpu", "fp32")).network
    with torch.no_grad():
        at = torch.zeros((), dtype=torch.long)
        made, wanted, without = (
            net(latents, at, encoder_hidden_states=tokens, return_dict=False)[0]
            for net in (network, trainer.unet, plain_unet)
        )
    assert torch.allclose(made, wanted, atol=1e-4 * float(wanted.abs().max()))
    assert (wanted - without).abs().max() > 10 * (made - wanted).abs().max()
    content["run"]["folder"] = str(tmp_path / "again")
    content["run"]["updates"] = 2
    Trainer(make_config(content)).run()
    content["run"]["updates"] = 3
    Trainer(make_config(content)).run()
    again = load_adapter(tmp_path / "again" / "adapter.safetensors")
    for name, (down, up) in adapter.pairs.items():
        assert torch.allclose(again.pairs[name][0], down, atol=1e-6)
        assert torch.allclose(again.pairs[name][1], up, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"), [({"adapter": 2}, "trained U-Net"), ({"adapter": 2, "scale_tokens": True}, "as they are")]
)
def test_an_adapter_needs_a_u_net_and_plain_tokens(data, nano_folder, tmp_path, changes, words):
    with pytest.raises(OptionError, match=words):
        train(settings(data, nano_folder, tmp_path, network=changes))
