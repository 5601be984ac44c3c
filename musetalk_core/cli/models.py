"""`musetalk models`: what is there, what a file is, convert it, get it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from ..models.recipe import RECIPES
from ..models.registry import EMBEDDED, NANO_FILES, REGISTRY, Entry, FolderLocator, page
from .console import TerminalProgress, write_line

if TYPE_CHECKING:
    from ..models.layouts import Weights


def add_parser(subparsers: Any) -> None:
    """Add `models` and its four commands.

    Args:
        subparsers: what `ArgumentParser.add_subparsers` returned.
    """
    parser = subparsers.add_parser("models", help="list, check, convert and get weight files")
    parser.add_argument(
        "--models-dir", type=Path, help="model folder [default: $MUSETALK_MODELS, or ~/.musetalk/models]"
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    shown = actions.add_parser("list", help="every known network: where it lies, size, licence, source")
    shown.set_defaults(run=_list)
    check = actions.add_parser("check", help="load files strictly and say what they are")
    check.add_argument("files", type=Path, nargs="+", metavar="FILE")
    check.set_defaults(run=_check)
    convert = actions.add_parser("convert", help="write any layout as safetensors")
    convert.add_argument("source", type=Path, metavar="SOURCE")
    convert.add_argument("target", type=Path, metavar="TARGET")
    convert.add_argument("--recipe", choices=list(RECIPES), help="recipe to write into a U-Net's header")
    convert.add_argument("--precision", choices=("keep", "fp32", "fp16", "bf16"), default="keep")
    convert.set_defaults(run=_convert)
    get = actions.add_parser("get", help="download a network; interrupted downloads are taken up again")
    get.add_argument("source", help=f"one of {', '.join(REGISTRY)}; a recipe; a URL; or owner/repository:path")
    get.add_argument("--sha256", help="checksum that the file must have")
    get.add_argument("--quiet", action="store_true", help="no progress bar")
    get.set_defaults(run=_get)


def _list(args: argparse.Namespace) -> int:
    locator = FolderLocator(args.models_dir)
    write_line(f"model folder: {locator.folder}")
    embedded = all((EMBEDDED / name).is_file() for name in NANO_FILES)
    write_line(f"nano: {RECIPES['nano'].title}: {'in the package' if embedded else 'not part of this version'}")
    for entry in REGISTRY.values():
        for line in _describe(entry, locator):
            write_line(line)
    return 0


def _describe(entry: Entry, locator: FolderLocator) -> list[str]:
    needed = f" (for {', '.join(entry.recipes)})" if entry.recipes else " (optional)"
    lines = [f"{entry.id}: {entry.title}{needed}", f"  licence: {entry.licence}"]
    try:
        path = locator.find(entry)
        lines.append(f"  found:   {path} ({_size(path.stat().st_size)})")
    except ModelError:
        file = entry.download or entry.files[0]
        lines.append(f"  missing: {locator.folder / file.place} ({_size(file.size)})")
        if file.source:
            lines.append(f"  source:  {page(file.source)}, sha256 {file.sha256 or 'not known'}")
    return lines


def _check(args: argparse.Namespace) -> int:
    from ..models.layouts import read_weights
    from ..models.load import build_network

    for path in args.files:
        weights = read_weights(path)
        build_network(weights)
        write_line(f"{path}: {_facts(weights)}")
    return 0


def _facts(weights: Weights) -> str:
    import torch

    from ..models.layouts import TITLES

    tensors = list(weights.tensors.values())
    bad = sum(not bool(torch.isfinite(tensor).all()) for tensor in tensors if tensor.is_floating_point())
    if bad:
        raise ModelError(f"{weights.path} has NaN or infinite numbers in {bad} tensors.", "Get the file again.")
    numbers = sum(tensor.numel() for tensor in tensors)
    precisions = ", ".join(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors}))
    facts = [TITLES[weights.kind], f"{numbers / 1e6:.2f} M numbers in {len(tensors)} tensors", precisions]
    if weights.recipe:
        facts.append(f"recipe {weights.recipe}")
    if weights.identity:
        facts.append(weights.identity)
    return ", ".join(facts)


def _convert(args: argparse.Namespace) -> int:
    from ..models.convert import convert

    weights = convert(args.source, args.target, recipe=args.recipe, precision=args.precision)
    write_line(f"{args.target}: {_facts(weights)}")
    return 0


def _get(args: argparse.Namespace) -> int:
    from ..models.fetch import get_entry, get_source

    if args.source == "nano":
        raise ModelError("nano travels inside the package: there is nothing to get.", "Update the package instead.")
    folder = FolderLocator(args.models_dir).folder
    bar = TerminalProgress(args.quiet, unit="B")
    try:
        for entry in _entries(args.source):
            write_line(f"{get_entry(entry, folder, bar)}: {entry.title}, licence: {entry.licence}")
        if not _entries(args.source):
            write_line(str(get_source(args.source, folder, args.sha256, bar)))
    finally:
        bar.close()
    return 0


def _entries(source: str) -> list[Entry]:
    """The networks that a name stands for: one, all that a recipe needs, or none."""
    if source in REGISTRY:
        return [REGISTRY[source]]
    return [entry for entry in REGISTRY.values() if source in entry.recipes]


def _size(count: int | None) -> str:
    return f"{count / 1e6:.1f} MB" if count else "size not known"
