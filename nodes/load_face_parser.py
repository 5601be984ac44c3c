"""MuseTalk Load Face Parser: the optional network behind the masks jaw, raw and neck."""

from __future__ import annotations

from comfy_api.latest import io

from ..musetalk_core.face.parse import FaceParser
from ._bridge.host import HostPlacement
from ._bridge.places import find_file, menu
from ._bridge.types import MUSETALK_PARSER


class MuseTalkLoadFaceParser(io.ComfyNode):
    """BiSeNet as a face parser."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Menu."""
        return io.Schema(
            node_id="MuseTalkLoadFaceParser",
            display_name="MuseTalk Load Face Parser",
            category="MuseTalk",
            description="Load BiSeNet, which labels skin, lips and neck, for the masks jaw, raw and neck of the "
            "released models. Not needed for the mask landmarks. Its training data are for non-commercial use.",
            search_aliases=["lipsync", "lip sync", "musetalk", "bisenet", "face parsing", "79999_iter"],
            inputs=[
                io.Combo.Input(
                    "face_parser",
                    options=menu("face_parser"),
                    tooltip="face-parser: 79999_iter.pth in models/face-parse-bisent or models/musetalk.",
                )
            ],
            outputs=[MUSETALK_PARSER.Output(display_name="face_parser", tooltip="For MuseTalk Mask Faces.")],
        )

    @classmethod
    def execute(cls, face_parser: str) -> io.NodeOutput:
        """Load the file behind the name."""
        return io.NodeOutput(FaceParser.load(find_file(face_parser, "face_parser"), HostPlacement()))
