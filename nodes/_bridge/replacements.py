"""What ComfyUI offers to people who open a workflow of an older MuseTalk pack (docs/old_packs.md)."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import ComfyAPI, io

OLD_NODE = "MuseTalk"  # of AIFSH/ComfyUI-MuseTalk_FSH: AUDIO, VIDEO -> VIDEO, by MuseTalk 1.0
OLD_WIDGETS = ["bbox_shift", "fps", "batch_size", "batch_size_fa", "use_saved_coord"]
SAME = ("video", "audio", "bbox_shift", "batch_size")


async def register_replacements(dub: type[io.ComfyNode]) -> None:
    """Offer the one-node dub in place of the old pack's.

    Args:
        dub: MuseTalkDubVideo; widgets that the old node did not have get their defaults.
    """
    widgets = [port for port in dub.define_schema().inputs if getattr(port, "default", None) is not None]
    values: dict[str, Any] = {port.id: port.default for port in widgets} | {"model_name": "1.0"}
    given = [{"new_id": name, "set_value": value} for name, value in values.items() if name not in SAME]
    kept = [{"new_id": name, "old_id": name} for name in SAME]
    await ComfyAPI().node_replacement.register(
        io.NodeReplace(
            new_node_id="MuseTalkDubVideo",
            old_node_id=OLD_NODE,
            old_widget_ids=OLD_WIDGETS,
            input_mapping=[*given, *kept],
            output_mapping=[{"new_idx": 0, "old_idx": 0}],
        )
    )
