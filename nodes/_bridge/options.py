"""Widgets from the core's options: one place says default, range and help for the command line and for the nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from comfy_api.latest import io

from ...musetalk_core.face.crop import CropOptions
from ...musetalk_core.models.recipe import Recipe
from ...musetalk_core.options import Options, OptionSpec, option_specs

Chosen = TypeVar("Chosen", bound=Options)

# Widgets have the names that users of other lip-sync packs know.
WIDGET_NAMES = {
    "chin_margin": "extra_margin",
    "kind": "parsing_mode",
    "feather": "mask_blur",
    "selection": "speaker_selection",
    "index": "face_index",
    "point_x": "speaker_x",
    "point_y": "speaker_y",
}
WIDGET_WORDS = {"selection": {"point": "coordinates"}}  # choices with another word here, in tooltips too
FACE_HEIGHT = 246  # pixels; extra_margin counts pixels of a face of this height, as the released 1.5 was trained
MODEL_MARGIN = -1  # extra_margin that stands for the model's own
FINE, COARSE = 0.01, 0.1  # steps of numbers with a range up to 1, and of others


def inputs_of(
    options: type[Options], *fields: str, advanced: Iterable[str] = (), **changes: dict[str, Any]
) -> list[io.Input]:
    """Widgets for the fields of an option dataclass.

    Args:
        options: the dataclass.
        fields: which ones, in this order; all of them when none are named.
        advanced: those that the front end hides until they are asked for.
        changes: for a field, arguments of its input that differ.
    """
    specs = {spec.name: spec for spec in option_specs(options)}
    return [_input(specs[name], name in advanced, changes.get(name, {})) for name in fields or specs]


def options_of(options: type[Chosen], widgets: Mapping[str, Any], **fixed: Any) -> Chosen:
    """The options that the widgets say; fields without a widget keep their default.

    Args:
        options: the dataclass.
        widgets: values by the widgets' names; others are ignored.
        fixed: fields that no widget sets, or that the node sets itself.

    Raises:
        OptionError: a value is out of range.
    """
    values = dict(fixed)
    for spec in option_specs(options):
        name = widget_name(spec.name)
        if name in widgets and spec.name not in values:
            values[spec.name] = _value(spec, widgets[name])
    return options(**values)


def crop_options_of(widgets: Mapping[str, Any], recipe: Recipe) -> CropOptions:
    """As `options_of`, where an extra_margin of `MODEL_MARGIN` is the model's own."""
    own = {"chin_margin": recipe.chin_margin} if widgets["extra_margin"] == MODEL_MARGIN else {}
    return options_of(CropOptions, widgets, **own)


def widget_name(field: str) -> str:
    """How the widget of an option is called."""
    return WIDGET_NAMES.get(field, field)


def _value(spec: OptionSpec, value: Any) -> Any:
    if spec.name == "chin_margin":
        return value / FACE_HEIGHT
    words = {word: choice for choice, word in WIDGET_WORDS.get(spec.name, {}).items()}
    return words.get(value, value)


def _input(spec: OptionSpec, advanced: bool, changes: dict[str, Any]) -> io.Input:
    given: dict[str, Any] = {"default": spec.default, "tooltip": _sentence(spec.help), "advanced": advanced or None}
    name = widget_name(spec.name)
    if spec.name == "chin_margin":
        given |= {
            "default": round(spec.default * FACE_HEIGHT),
            "min": 0,
            "max": round((spec.high or 0) * FACE_HEIGHT),
            "tooltip": "How far the crop reaches below the chin, in pixels of a face 246 pixels high. Raising it shows "
            "the model more of the neck. 10 for MuseTalk 1.5 and nano; MuseTalk 1.0 was trained with 0.",
        }
        return io.Int.Input(name, **given | changes)
    if spec.choices:
        words = WIDGET_WORDS.get(spec.name, {})
        given |= {"options": [words.get(choice, choice) for choice in spec.choices]}
        return io.Combo.Input(name, **given | changes)
    if spec.kind is bool:
        return io.Boolean.Input(name, **given | changes)
    given |= {"min": spec.low, "max": spec.high}
    if spec.kind is int:
        return io.Int.Input(name, **given | changes)
    wide = spec.high is None or spec.low is None or spec.high - spec.low > 2
    return io.Float.Input(name, **given | {"step": COARSE if wide else FINE} | changes)


def _sentence(help: str) -> str:
    for choice, word in (each for words in WIDGET_WORDS.values() for each in words.items()):
        help = help.replace(f"({choice})", f"({word})")
    return help[0].upper() + help[1:].rstrip(".") + "."
