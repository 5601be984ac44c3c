"""Workflows of an older pack run after ComfyUI has put our node into them."""

from __future__ import annotations

import importlib
from typing import Any


def test_the_old_node_becomes_a_whole_new_one(pack: Any) -> None:
    registered = importlib.import_module("comfy_api.latest")._replacements
    assert [each.old_node_id for each in registered] == ["MuseTalk"]
    replacement = registered[0]
    schema = pack.nodes[replacement.new_node_id].define_schema()
    ports = {port.id: port for port in schema.inputs}
    given = {entry["new_id"]: entry for entry in replacement.input_mapping}
    assert len(given) == len(replacement.input_mapping)
    assert set(given) <= set(ports)
    assert {name for name, port in ports.items() if not port.optional} <= set(given), "an API prompt would miss it"
    assert given["model_name"]["set_value"] == "1.0"
    kept = {entry["old_id"] for entry in given.values() if "old_id" in entry}
    assert kept == {"video", "audio", "bbox_shift", "batch_size"}
    assert kept - set(replacement.old_widget_ids) == {"video", "audio"}
    values = {name: entry["set_value"] for name, entry in given.items() if "set_value" in entry}
    for name, value in values.items():
        assert value in (ports[name].more.get("options") or [value])
    assert replacement.output_mapping == [{"new_idx": 0, "old_idx": 0}]
