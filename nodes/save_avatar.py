"""MuseTalk Save Avatar: a prepared face as a file."""

from __future__ import annotations

from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ..musetalk_core.pipeline.avatar import Avatar, save_avatar
from ._bridge.types import MUSETALK_AVATAR


class MuseTalkSaveAvatar(io.ComfyNode):
    """Writes an avatar to the output folder, under a new number each time."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Avatar and name."""
        return io.Schema(
            node_id="MuseTalkSaveAvatar",
            display_name="MuseTalk Save Avatar",
            category="MuseTalk",
            description="Write a prepared avatar to ComfyUI's output folder; MuseTalk Load Avatar finds it there.",
            search_aliases=["lipsync", "lip sync", "musetalk", "avatar", "talking head"],
            is_output_node=True,
            inputs=[
                MUSETALK_AVATAR.Input("avatar", tooltip="From MuseTalk Prepare Avatar."),
                io.String.Input(
                    "filename_prefix",
                    default="musetalk/avatar",
                    tooltip="Folder and beginning of the file's name, inside the output folder.",
                ),
            ],
            outputs=[
                MUSETALK_AVATAR.Output(display_name="avatar", tooltip="The same avatar."),
                io.String.Output(display_name="file", tooltip="Where it was written."),
            ],
        )

    @classmethod
    def execute(cls, avatar: Avatar, filename_prefix: str) -> io.NodeOutput:
        """Write the file."""
        track = avatar.track
        folder, name, number, _, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory(), track.width, track.height
        )
        path = Path(folder, f"{name}_{number:05}_.safetensors")
        save_avatar(avatar, path)
        return io.NodeOutput(avatar, str(path), ui={"text": (str(path),)})
