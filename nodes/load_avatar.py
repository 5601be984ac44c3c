"""MuseTalk Load Avatar: a saved face, ready to speak."""

from __future__ import annotations

from comfy_api.latest import io

from ..musetalk_core.pipeline.avatar import load_avatar
from ._bridge.avatars import avatar_names, avatar_path
from ._bridge.types import MUSETALK_AVATAR


class MuseTalkLoadAvatar(io.ComfyNode):
    """Reads an avatar that MuseTalk Save Avatar wrote."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Menu of saved avatars."""
        return io.Schema(
            node_id="MuseTalkLoadAvatar",
            display_name="MuseTalk Load Avatar",
            category="MuseTalk",
            description="Load a prepared avatar from ComfyUI's output or input folder.",
            search_aliases=["lipsync", "lip sync", "musetalk", "avatar", "talking head"],
            inputs=[
                io.Combo.Input(
                    "avatar",
                    options=avatar_names(),
                    tooltip="Files of MuseTalk Save Avatar in output/musetalk, and avatars in the input folder. Press "
                    "R to look for new ones.",
                )
            ],
            outputs=[MUSETALK_AVATAR.Output(display_name="avatar", tooltip="For MuseTalk Speak.")],
        )

    @classmethod
    def fingerprint_inputs(cls, avatar: str) -> float:
        """Changes when the file does."""
        return avatar_path(avatar).stat().st_mtime

    @classmethod
    def execute(cls, avatar: str) -> io.NodeOutput:
        """Read the file."""
        return io.NodeOutput(load_avatar(avatar_path(avatar)))
