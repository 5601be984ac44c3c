"""Reading and writing files of tensors: every damaged or hostile file is refused with one clear line."""

from __future__ import annotations

import json
import os
import pickle
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from musetalk_core.errors import ModelError
from musetalk_core.models.checkpoint import load_strictly, read_checkpoint, save_safetensors

WEIGHTS = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.tensor([1.0, 2.0])}


class Malice:
    """A pickled object that runs a command when a careless program reads it."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.target}",)


def same(found: dict, wanted: dict) -> bool:
    return set(found) == set(wanted) and all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("name", ["w.safetensors", "Ü \u597d %08d.safetensors"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    header = {"format": "x", "version": 3, "nested": {"size": [1, 2]}}
    save_safetensors(tmp_path / "new folder" / name, WEIGHTS, header)
    found = read_checkpoint(tmp_path / "new folder" / name)
    assert same(dict(found.tensors), WEIGHTS)
    assert found.header == header
    assert found.numbers == 8
    assert [file.name for file in (tmp_path / "new folder").iterdir()] == [name]


@given(hnp.arrays("float32", hnp.array_shapes(max_dims=3, max_side=4)), st.booleans())
def test_any_tensor_survives(array: object, half: bool) -> None:
    import tempfile

    tensor = torch.from_numpy(array)
    tensor = tensor.half() if half else tensor
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "w.safetensors"
        turned = tensor.permute(*reversed(range(tensor.dim())))
        save_safetensors(path, {"turned": turned, "same memory": turned, "tensor": tensor}, {})
        found = read_checkpoint(path).tensors
        assert torch.equal(found["turned"].nan_to_num(), turned.nan_to_num())
        assert torch.equal(found["same memory"].nan_to_num(), turned.nan_to_num())
        assert torch.equal(found["tensor"].nan_to_num(), tensor.nan_to_num())


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_safetensors(path, WEIGHTS, {"version": 1})
    with pytest.raises(TypeError):
        save_safetensors(path, WEIGHTS, {"version": object()})
    folder = tmp_path / "is a folder.safetensors"
    folder.mkdir()
    with pytest.raises(ModelError, match="cannot be written"):
        save_safetensors(folder, WEIGHTS, {})
    assert read_checkpoint(path).header == {"version": 1}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["is a folder.safetensors", "w.safetensors"]


def test_a_file_of_another_program_gives_its_metadata(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(WEIGHTS, str(tmp_path / "w.safetensors"), metadata={"source": "elsewhere"})
    assert read_checkpoint(tmp_path / "w.safetensors").header == {"source": "elsewhere"}


@pytest.mark.parametrize("ending", [".bin", ".pth", ".pt", ".ckpt"])
@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_weights_are_read(tmp_path: Path, ending: str, zipped: bool) -> None:
    path = tmp_path / f"w{ending}"
    torch.save(WEIGHTS, path, _use_new_zipfile_serialization=zipped)
    assert same(dict(read_checkpoint(path).tensors), WEIGHTS)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda w: {"state_dict": w},
        lambda w: {"model": w, "step": 7},
        lambda w: {"state_dict": {f"module.{k}": v for k, v in w.items()}},
        lambda w: {"model": {"state_dict": {f"module._orig_mod.{k}": v for k, v in w.items()}}},
    ],
)
def test_wrappers_and_prefixes_are_taken_away(tmp_path: Path, wrap) -> None:
    torch.save(wrap(WEIGHTS), tmp_path / "w.pt")
    assert same(dict(read_checkpoint(tmp_path / "w.pt").tensors), WEIGHTS)


def test_what_stands_beside_the_weights_is_kept(tmp_path: Path) -> None:
    torch.save({"dims": {"n_vocab": 51864}, "model_state_dict": WEIGHTS}, tmp_path / "w.pt")
    assert read_checkpoint(tmp_path / "w.pt").header == {"dims": {"n_vocab": 51864}}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("way", ["torch", "legacy", "plain"])
def test_malicious_files_are_refused_and_not_run(tmp_path: Path, way: str, protocol: int) -> None:
    trap, path = tmp_path / "was run", tmp_path / "w.pth"
    content = {"weight": torch.ones(2), "extra": Malice(trap)}
    if way == "plain":
        path.write_bytes(pickle.dumps({"extra": Malice(trap)}, protocol=protocol))
    else:
        torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=way == "torch")
    with pytest.raises(ModelError, match=r"holds code, not just weights; it was refused and nothing in it was run"):
        read_checkpoint(path)
    assert not trap.exists()


def test_a_pickled_module_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pt")
    with pytest.raises(ModelError, match="holds code"):
        read_checkpoint(tmp_path / "w.pt")


@pytest.mark.parametrize("ending", [".safetensors", ".pth", "legacy.pth"])
@pytest.mark.parametrize("keep", [0.02, 0.5, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, ending: str, keep: float) -> None:
    path = tmp_path / f"w{ending}"
    tensors = {"weight": torch.randn(64, 64)}
    if ending == ".safetensors":
        save_safetensors(path, tensors, {})
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=ending == ".pth")
    path.write_bytes(path.read_bytes()[: max(1, int(path.stat().st_size * keep))])
    with pytest.raises(ModelError, match=r"w.*(is damaged|holds code)") as caught:
        read_checkpoint(path)
    assert "bytes on disk" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html><body>Not found</body></html>", "is a web page"),
        (b"\n <html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3400\n", "git-lfs pointer"),
        (b"\x00" * 1000, "is damaged"),
        (b"GARBAGE!" * 100, "is damaged"),
        (struct.pack("<Q", 1 << 62) + b"{}", "is damaged"),
    ],
)
def test_what_is_no_weight_file_is_named(tmp_path: Path, ending: str, content: bytes, message: str) -> None:
    path = tmp_path / f"w{ending}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)


def test_missing_folder_and_strange_names(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        read_checkpoint(tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match="is a folder"):
        read_checkpoint(tmp_path)
    (tmp_path / "w.txt").write_text("x")
    with pytest.raises(ModelError, match="must end in"):
        read_checkpoint(tmp_path / "w.txt")


def test_pickles_without_weights_and_bad_headers(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    torch.save({"step": 3}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="holds no weights"):
        read_checkpoint(tmp_path / "w.pt")
    for header in ("{", json.dumps([1])):
        save_file(WEIGHTS, str(tmp_path / "w.safetensors"), metadata={"musetalk": header})
        with pytest.raises(ModelError, match="damaged header"):
            read_checkpoint(tmp_path / "w.safetensors")


def test_loading_is_strict_and_says_what_differs() -> None:
    with torch.device("meta"):
        network = torch.nn.Linear(3, 2)
    file = Path("w.pth")
    with pytest.raises(ModelError, match=r"w.pth is not a line: 1 of 2 keys are missing \(first: bias\)"):
        load_strictly(network, {"weight": WEIGHTS["weight"]}, file, "line")
    with pytest.raises(ModelError, match=r"1 keys are unknown \(first: other\)"):
        load_strictly(network, {**WEIGHTS, "other": torch.ones(1)}, file, "line")
    with pytest.raises(ModelError, match=r"weight is \(3, 2\), expected \(2, 3\)"):
        load_strictly(network, {**WEIGHTS, "weight": torch.ones(3, 2)}, file, "line")
    load_strictly(network, WEIGHTS, file, "line")
    assert network.weight.data_ptr() == WEIGHTS["weight"].data_ptr()  # taken over, not copied
    assert not network.weight.requires_grad
