"""MuseTalk Load Model: the U-Net that paints the mouth."""

from __future__ import annotations

from comfy_api.latest import io

from ..musetalk_core.models.recipe import RECIPES
from ..musetalk_core.placement import DtypeName
from ._bridge.inputs import dtype_input
from ._bridge.models import load_lip_model
from ._bridge.places import find_file, model_names

AUTO = "auto"


class MuseTalkLoadModel(io.ComfyNode):
    """A named model or a file of the user's, as a MODEL."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Menu, version, precision."""
        return io.Schema(
            node_id="MuseTalkLoadModel",
            display_name="MuseTalk Load Model",
            category="MuseTalk",
            description="Load the network that paints the mouth. nano comes with this pack; 1.5 and 1.0 are the "
            "released models, looked for in models/musetalk and where older MuseTalk packs keep them.",
            search_aliases=["lipsync", "lip sync", "musetalk", "talking", "dub", "wav2lip", "unet"],
            inputs=[
                io.Combo.Input(
                    "model",
                    options=model_names(),
                    tooltip="nano: small and fast, in this pack. 1.5: the best picture (3.4 GB file). 1.0: the first "
                    "release. Below them: your own files in models/musetalk (.safetensors, .pth, .bin).",
                ),
                io.Combo.Input(
                    "version",
                    options=[AUTO, *RECIPES],
                    default=AUTO,
                    tooltip="What one of your own files was trained as; auto reads it from the file, and takes a file "
                    "of the released shape for 1.5.",
                    advanced=True,
                ),
                dtype_input(),
            ],
            outputs=[
                io.Model.Output(
                    display_name="MODEL",
                    tooltip="For MuseTalk Generate Lips. LoRA, TorchCompileModel and ModelSave may stand in between; "
                    "samplers cannot use it.",
                )
            ],
        )

    @classmethod
    def execute(cls, model: str, version: str = AUTO, dtype: DtypeName = "auto") -> io.NodeOutput:
        """Load the file behind the name."""
        recipe = None if version == AUTO else version
        named = model if model in RECIPES else recipe
        return io.NodeOutput(load_lip_model(find_file(model, "unet"), named, dtype))
