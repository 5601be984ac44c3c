"""Opening video files: one way to open, one way to name what went wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MediaError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

REPAIR = "Copy or download it again, or re-encode the part that still plays."
# A file may name others (playlists do): only local ones are ever opened. Given as container options, as PyAV before 18
# crashes on MPEG files when streams are given options.
OPEN_OPTIONS = {"protocol_whitelist": "file"}


@contextmanager
def naming_errors(path: Path, doing: str, fix: str) -> Iterator[None]:
    """Turn what FFmpeg or the system raises into a `MediaError` that names the file.

    Args:
        path: the file.
        doing: what fails, as in "cannot be read".
        fix: what the user can do when nothing better is known.
    """
    from av import FFmpegError

    try:
        yield
    except FileNotFoundError as error:
        raise MediaError(f"{path} does not exist.", "Check the path.") from error
    except PermissionError as error:
        raise MediaError(f"{path} {doing}: access denied.", "Check the permissions of file and folder.") from error
    except (FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(f"{path} {doing}: {reason}.", fix) from error


def open_container(path: Path) -> InputContainer:
    """Open a file for reading.

    An absolute path is never taken for a protocol ("a:b.mp4") or another pattern of FFmpeg's.

    Raises:
        MediaError: the file is missing, unreadable or no media file.
    """
    import av

    with naming_errors(path, "cannot be opened as a video", "Give a video file (mp4, mov, mkv, webm, avi, mpg)."):
        container: InputContainer = av.open(
            os.path.abspath(path), container_options=OPEN_OPTIONS, metadata_errors="replace"
        )
    return container


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The first moving picture of a file (cover art is none).

    Raises:
        MediaError: there is none, or nothing here can decode it.
    """
    from av.stream import Disposition

    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise MediaError(f"{path} has no video track.", "Give a video file, an image or a folder of frames.")
    if streams[0].codec_context is None:
        raise MediaError(f"{path} uses a video codec that cannot be decoded here.", "Re-encode it as H.264 mp4.")
    return streams[0]
