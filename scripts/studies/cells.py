"""The cells of the studies: what is different in each."""

from __future__ import annotations

Changes = dict[str, object]
REFERENCE: dict[str, Changes] = {
    "random": {"sampling.method": "random"},
    "pose-50": {"sampling.method": "pose"},
    "mouth-50": {"sampling.method": "mouth"},
    "both-25": {"sampling.ratio": 0.25},
    "both-50": {},
    "both-75": {"sampling.ratio": 0.75},
}
SYNC: dict[str, tuple[int, int, str]] = {  # frames of a window, how many are generated, and what a SyncNet sees of them
    "none": (1, 1, ""),
    "none-runs": (4, 4, ""),
    "lower-1": (1, 1, "lower"),
    "lower-5": (5, 4, "lower"),
    "lower-16": (16, 4, "lower"),
    "lower-16-all": (16, 16, "lower"),
    "mouth-16": (16, 4, "mouth"),
}


def syncnet_name(frames: int, region: str) -> str:
    """The folder of a SyncNet that sees a region in so many frames."""
    return f"{region}-{frames}"
