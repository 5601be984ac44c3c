"""Options as dataclasses: one place for default, range and help of everything that a user can set.

A stage's options are a frozen dataclass that derives from `Options`; its fields are made by `option(...)`. The command
line builds its flags from them, the ComfyUI nodes build their widgets from them, and a value out of range is refused
here, once, for all of them.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any

from .errors import OptionError


def option(default: Any, help: str, *, low: float | None = None, high: float | None = None, unit: str = "") -> Any:
    """A dataclass field with its range and its help.

    Args:
        default: the value when the user sets none.
        help: what it is, and what raising it does.
        low: smallest allowed number, inclusive.
        high: largest allowed number, inclusive.
        unit: unit of the number, for help texts.
    """
    return dataclasses.field(default=default, metadata={"help": help, "low": low, "high": high, "unit": unit})


@dataclasses.dataclass(frozen=True, slots=True)
class OptionSpec:
    """One option as its users (command line, node, documentation) see it.

    Args:
        name: field name.
        kind: the value's type: bool, int, float or str.
        default: value when the user sets none; None when the option may stay unset.
        help: text for the user.
        low, high: inclusive range of a number, None where unbounded.
        unit: unit of the number.
        choices: allowed words of a `Literal`, empty for every other type.
    """

    name: str
    kind: type
    default: Any
    help: str
    low: float | None
    high: float | None
    unit: str
    choices: tuple[str, ...]


class Options:
    """Base of all option dataclasses: checks every field when an object is made."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for spec in option_specs(type(self)):
            value = getattr(self, spec.name)
            if value is not None:
                _check(spec, value)


def option_specs(options: type[Options]) -> list[OptionSpec]:
    """Every field of an option dataclass that was made by `option()`, in order."""
    hints = typing.get_type_hints(options)
    specs = []
    for field in dataclasses.fields(options):  # type: ignore[arg-type]
        if "help" not in field.metadata:
            continue
        hint = hints[field.name]
        if typing.get_origin(hint) in (typing.Union, types.UnionType):
            hint = next(arm for arm in typing.get_args(hint) if arm is not type(None))
        literal = typing.get_origin(hint) is typing.Literal
        choices = typing.get_args(hint) if literal else ()
        kind = str if literal else hint
        specs.append(OptionSpec(field.name, kind, field.default, choices=choices, **field.metadata))
    return specs


def _check(spec: OptionSpec, value: Any) -> None:
    if spec.choices:
        if value not in spec.choices:
            raise OptionError(f"{spec.name} = {value!r} is unknown.", f"Use one of: {', '.join(spec.choices)}.")
        return
    if spec.kind in (int, float):
        wanted = (int,) if spec.kind is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, wanted):
            raise OptionError(f"{spec.name} = {value!r} is not a number of type {spec.kind.__name__}.")
        too_low = spec.low is not None and not value >= spec.low  # "not >=" also refuses NaN
        too_high = spec.high is not None and not value <= spec.high
        if too_low or too_high or not math.isfinite(value):
            raise OptionError(f"{spec.name} = {value} is out of range.", f"It goes from {spec.low} to {spec.high}.")
