"""Get a weight file, when a user asks for it: resumable, checked, never half there under its final name."""

from __future__ import annotations

import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from hashlib import sha256
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from ..errors import ModelError
from ..progress import Progress, SilentProgress
from .checkpoint import ENDINGS
from .registry import REGISTRY, Entry, KnownFile

HUB = "https://huggingface.co"
HUB_VARIABLE = "HF_ENDPOINT"  # the hub's own variable for mirrors
TIMEOUT = 30.0  # seconds without a byte before a connection counts as dead
BLOCK = 1 << 20  # bytes read at a time
ATTEMPTS = 5  # a connection that breaks is taken up again this often
AGAIN = "Run the same command again; it goes on where it stopped."


def get_entry(entry: Entry, folder: Path, progress: Progress | None = None) -> Path:
    """Get a network of the registry into its place.

    Args:
        entry: the network.
        folder: the model folder.
        progress: told bytes.

    Returns:
        The file.

    Raises:
        ModelError: no source is known, or the download failed or is not what it should be.
    """
    file = entry.download
    if file is None:
        raise ModelError(f"Nobody offers {entry.title} for download.", "Convert your own file into its place.")
    return download(file, folder / file.place, progress or SilentProgress())


def get_source(source: str, folder: Path, checksum: str | None = None, progress: Progress | None = None) -> Path:
    """Get a file by URL or hub id.

    Args:
        source: "https://...", or "owner/repository:path" on the Hugging Face hub.
        folder: receives the file under its own name.
        checksum: sha256 that it must have.
        progress: told bytes.

    Returns:
        The file.

    Raises:
        ModelError: the source is not one of these, or the download failed or is not what it should be.
    """
    name = urllib.parse.unquote(urllib.parse.urlsplit(source_url(source)).path).rsplit("/", 1)[-1]
    if not name.lower().endswith(ENDINGS) or "\\" in name or ":" in name:
        raise ModelError(f"{source} names no weight file.", f"It must end in {', '.join(ENDINGS)}.")
    known = next((f for e in REGISTRY.values() for f in e.files if f.source == source), KnownFile(name, source))
    wanted = KnownFile(name, source, known.size, checksum or known.sha256)
    return download(wanted, folder / name, progress or SilentProgress())


def source_url(source: str) -> str:
    """The URL of a source.

    Raises:
        ModelError: it is neither an http(s) URL nor a hub id.
    """
    scheme = urllib.parse.urlsplit(source).scheme.lower()
    if "://" in source:
        if scheme not in ("http", "https"):
            raise ModelError(f"{source} cannot be fetched: only http and https can.", "Copy a local file yourself.")
        return source
    repository, colon, path = source.partition(":")
    if not colon or repository.count("/") != 1 or not path:
        raise ModelError(
            f"{source!r} is neither a known model, nor a URL, nor a hub id.",
            f"Use one of {', '.join(REGISTRY)}, https://..., or owner/repository:path/of/file.",
        )
    hub = os.environ.get(HUB_VARIABLE, HUB).rstrip("/")
    return f"{hub}/{repository}/resolve/main/{urllib.parse.quote(path)}"


def download(file: KnownFile, target: Path, progress: Progress) -> Path:
    """Fetch one file; an interrupted download stays beside it as `.part` and is taken up again.

    Args:
        file: its source, and the size and sha256 that it must have where they are known.
        target: final name; an existing file that fits is kept, another one is never overwritten.
        progress: told bytes.

    Returns:
        `target`.

    Raises:
        ModelError: the connection, the disk, the size or the checksum failed, or another file is in the way.
    """
    if target.exists():
        _require_same(file, target, progress)
        return target
    part = target.with_name(target.name + ".part")
    url = source_url(file.source or "")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, ATTEMPTS + 1):
            if _fetch(url, part, file, progress):
                break
            if attempt == ATTEMPTS:
                raise ModelError(f"The download of {url} broke off {ATTEMPTS} times.", AGAIN)
        _require_checksum(file, part, url, progress)
        os.replace(part, target)
    except (OSError, HTTPException) as error:
        raise ModelError(f"{url} could not be fetched: {error}.", AGAIN) from error
    _tag_file(part).unlink(missing_ok=True)
    return target


def _fetch(url: str, part: Path, file: KnownFile, progress: Progress) -> bool:
    """Fetch what is missing from `part`; True when it is whole."""
    offset, tag = _resume_point(part)
    headers = {"User-Agent": "musetalk", **({"Range": f"bytes={offset}-", "If-Range": tag} if offset else {})}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 (source_url lets http and https through only)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310 (as above)
            if response.status != 206:
                offset = 0  # the server sends everything, or another file than the one we began with
            total = _total(response, offset)
            if file.size and total and total != file.size:
                raise ModelError(
                    f"{url} has {total} bytes, not the {file.size} that are expected.", "It was replaced at its source."
                )
            _tag_file(part).write_text(_strong_tag(response.headers), encoding="utf-8")
            _copy(response, part, offset, total, progress)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing lies behind our last byte: the part is whole, or of a longer file
            if error.headers.get("Content-Range") == f"bytes */{offset}":
                return True
            part.unlink(missing_ok=True)
            return False
        raise ModelError(f"{url} answers {error.code} {error.reason}.", "Check the address, or your access.") from error
    return total is None or part.stat().st_size == total


def _copy(response: HTTPResponse, part: Path, offset: int, total: int | None, progress: Progress) -> None:
    progress.start(f"get {part.stem}", total)
    progress.advance(offset)
    with part.open("ab" if offset else "wb") as out:
        while True:
            try:
                block = response.read(BLOCK)
            except (TimeoutError, ConnectionError, HTTPException):
                return  # what is there stays; the caller takes it up again
            if not block:
                return
            out.write(block)
            progress.advance(len(block))


def _resume_point(part: Path) -> tuple[int, str]:
    """How many bytes are there, and the tag of the file that they belong to; 0 without a tag."""
    try:
        tag = _tag_file(part).read_text(encoding="utf-8")
        return (part.stat().st_size if tag else 0), tag
    except OSError:
        return 0, ""


def _strong_tag(headers: Mapping[str, str]) -> str:
    """What tells that a file at a server is still the same one; weak tags do not."""
    tag = headers.get("ETag") or ""
    return headers.get("Last-Modified") or "" if not tag or tag.startswith("W/") else tag


def _tag_file(part: Path) -> Path:
    return part.with_name(part.name + ".tag")


def _total(response: HTTPResponse, offset: int) -> int | None:
    length = response.headers.get("Content-Length")
    return offset + int(length) if length else None


def _require_checksum(file: KnownFile, part: Path, url: str, progress: Progress) -> None:
    if file.sha256 is None:
        return
    found = file_sha256(part, progress)
    if found != file.sha256.lower():
        part.unlink()
        _tag_file(part).unlink(missing_ok=True)
        raise ModelError(
            f"What came from {url} has sha256 {found}, not {file.sha256}; it was deleted.",
            "Try again, or get the file from another source.",
        )


def _require_same(file: KnownFile, target: Path, progress: Progress) -> None:
    size = target.stat().st_size
    if (file.size and size != file.size) or (file.sha256 and file_sha256(target, progress) != file.sha256.lower()):
        raise ModelError(f"{target} is there, but is not the file that was asked for.", "Move it away first.")


def file_sha256(path: Path, progress: Progress | None = None) -> str:
    """sha256 of a file in hex."""
    digest = sha256()
    report = progress or SilentProgress()
    report.start(f"check {path.name}", path.stat().st_size)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            report.advance(len(block))
    return digest.hexdigest()
