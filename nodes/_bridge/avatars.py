"""Where saved avatars lie."""

from __future__ import annotations

from pathlib import Path

import folder_paths

from ...musetalk_core.errors import AvatarError

SUFFIX = ".safetensors"
SAVED = "musetalk"  # folder of the output folder
WHERE = {"[output]": folder_paths.get_output_directory, "[input]": folder_paths.get_input_directory}


def avatar_names() -> list[str]:
    """What the menu offers: "musetalk/anna_00001_.safetensors [output]", and files of the input folder."""
    saved, given = (Path(folder()) for folder in WHERE.values())
    found = [f"{path.relative_to(saved).as_posix()} [output]" for path in sorted((saved / SAVED).rglob(f"*{SUFFIX}"))]
    return found + [f"{path.relative_to(given).as_posix()} [input]" for path in sorted(given.rglob(f"*{SUFFIX}"))]


def avatar_path(name: str) -> Path:
    """The file behind a word of `avatar_names`.

    Raises:
        AvatarError: there is none, or it lies elsewhere.
    """
    file, _, where = name.rpartition(" ")
    folder = Path(WHERE[where]()).resolve() if where in WHERE else None
    path = (folder / file).resolve() if folder else None
    if folder is None or path is None or folder not in path.parents or not path.is_file():
        raise AvatarError(f"There is no avatar {name!r}.", "Choose another, or make one with MuseTalk Save Avatar.")
    return path
