"""How long a Matroska (mkv, webm) file says it is: what FFmpeg does not tell, and a cut-off file shows only there."""

from __future__ import annotations

from pathlib import Path

SEGMENT = b"\x18\x53\x80\x67"  # the id of the element that holds the whole film
HEAD_BYTES = 4096  # the segment begins within; a few dozen bytes are usual


def segment_end(path: Path) -> int:
    """The byte at which a Matroska file's segment says it ends; 0 where it does not say."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    position = 0
    while position + 12 <= len(head):
        name_bytes = _vint_bytes(head[position])
        size_bytes = _vint_bytes(head[position + name_bytes])
        start = position + name_bytes
        size = int.from_bytes(head[start : start + size_bytes], "big") & ((1 << 7 * size_bytes) - 1)
        body = start + size_bytes
        if head[position:start] == SEGMENT:
            return 0 if size == (1 << 7 * size_bytes) - 1 else body + size
        position = body + size
    return 0


def _vint_bytes(first: int) -> int:
    """Length of one of Matroska's numbers, told by the leading zeros of its first byte."""
    return 9 - first.bit_length() if first else 8
