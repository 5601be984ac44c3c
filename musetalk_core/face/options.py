"""What a user can set about finding and following faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..options import Options, option

Selection = Literal["largest", "index", "point", "all"]


@dataclass(frozen=True, slots=True)
class TrackOptions(Options):
    """Whose face speaks, and when it does not."""

    selection: Literal["largest", "index", "point", "all"] = option(
        "largest",
        "whose mouth moves: the largest face over the clip, a number counted from left to right (index), the face at a "
        "place in the picture (point), or everybody (all)",
    )
    index: int = option(
        0, "number of the face to choose (index): the leftmost is 0, higher ones are further right", low=0, high=999
    )
    point_x: int = option(
        0, "place of the face to choose (point): pixels from the picture's left", low=0, high=65535, unit="px"
    )
    point_y: int = option(
        0, "place of the face to choose (point): pixels from the picture's top", low=0, high=65535, unit="px"
    )
    smoothing: float = option(
        1.0,
        "how steady boxes and landmarks are held; 0 leaves them as seen, more follows fast motion less",
        low=0.0,
        high=5.0,
    )
    hold_seconds: float = option(
        0.2,
        "the longest gap within a shot, in seconds, over which a lost face is held; raising it bridges more, and may "
        "paint on what hides the face",
        low=0.0,
        high=2.0,
        unit="s",
    )
    fade_seconds: float = option(
        0.2,
        "seconds in which the new mouth appears and vanishes beside skipped frames; raising it makes that less sudden",
        low=0.0,
        high=2.0,
        unit="s",
    )
    yaw_limit: float = option(
        50.0,
        "degrees of the head's turn to a side beyond which the mouth is left alone; raising it dubs heads that are "
        "turned further, less cleanly",
        low=10.0,
        high=90.0,
        unit="degrees",
    )
    roll_limit: float = option(
        50.0,
        "degrees of the head's tilt to a shoulder beyond which the mouth is left alone; raising it dubs heads that are "
        "tilted further; no limit with align_roll",
        low=10.0,
        high=180.0,
        unit="degrees",
    )
    smallest_face: int = option(
        32,
        "height of the crop, in pixels, below which a face is left alone; raising it leaves more small faces alone",
        low=8,
        high=4096,
        unit="px",
    )
    likeness: float = option(
        0.86,
        "how alike two faces must look to be the same person after a cut; lower joins more, higher splits more",
        low=0.5,
        high=1.0,
    )
    most_faces: int = option(
        6,
        "how many faces are followed at once, the largest first; raising it follows more of a crowd and takes longer",
        low=1,
        high=50,
    )
    align_roll: bool = option(
        False, "turn the crop with the head, for heads tilted to a shoulder; the released models were trained without"
    )
