"""VIDEO to the core's footage and back, without holding a clip in memory."""

from __future__ import annotations

import hashlib
import os
import uuid
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import folder_paths
from comfy_api.latest import InputImpl

from ...musetalk_core.video.read import FootagePart, VideoFootage
from .convert import footage_of, rate_of

if TYPE_CHECKING:
    from ...musetalk_core.types import Footage


def footage_of_video(video: Any) -> Footage:
    """The frames of a VIDEO, inside its trim window.

    A file is read in chunks as it is needed; only a VIDEO that was put together from an IMAGE is in memory anyway.

    Raises:
        MediaError: it cannot be read, or the trim window holds no frames.
    """
    if not isinstance(video, InputImpl.VideoFromFile):
        components = video.get_components()
        return footage_of(components.images, rate_of(components.frame_rate))  # CreateVideo writes 29.97 in 48 bits
    source = video.get_stream_source()
    footage = VideoFootage(_stored(source) if isinstance(source, BytesIO) else source)
    start, duration = video.get_active_trim_window()
    if not start and not duration:
        return footage
    return FootagePart(footage, *footage.frames_between(start, duration or None))


def new_video_path(suffix: str = ".mp4") -> Path:
    """A name of its own in ComfyUI's temporary folder, which ComfyUI empties when it starts."""
    return _temporary() / f"musetalk_{uuid.uuid4().hex}{suffix}"


def video_of(path: Path) -> Any:
    """A video file as a VIDEO."""
    return InputImpl.VideoFromFile(str(path))


def _temporary() -> Path:
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _stored(source: BytesIO) -> Path:
    """A video in memory as a file, named by its content: the reader wants to open it again and again."""
    content = source.getbuffer()
    path = _temporary() / f"musetalk_{hashlib.sha256(content).hexdigest()[:32]}.video"
    if not path.exists():
        part = path.with_name(f"{uuid.uuid4().hex}.part")
        part.write_bytes(content)
        os.replace(part, path)
    return path
