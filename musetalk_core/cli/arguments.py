"""Flags from option dataclasses: names, ranges and help are those of the library and of the nodes."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from ..options import Options, OptionSpec, option_specs

T = TypeVar("T", bound=Options)


def add_options(
    parser: argparse.ArgumentParser,
    title: str,
    options: type[Options],
    skip: Collection[str] = (),
    by_model: Collection[str] = (),
) -> None:
    """Add a group of flags, one for each field of an option dataclass.

    Args:
        parser: receives the group.
        title: heading of the group in the help text.
        options: the dataclass.
        skip: fields that another flag sets.
        by_model: fields whose default is the model's own.
    """
    group = parser.add_argument_group(title)
    for spec in option_specs(options):
        if spec.name in skip:
            continue
        flag = "--" + spec.name.replace("_", "-")
        text = _help(spec, spec.name in by_model)
        if spec.kind is bool:
            action = argparse.BooleanOptionalAction
            group.add_argument(flag, action=action, default=argparse.SUPPRESS, help=text)
        elif spec.choices:
            group.add_argument(flag, choices=spec.choices, default=argparse.SUPPRESS, help=text)
        else:
            metavar = (spec.unit or spec.kind.__name__).upper()
            group.add_argument(flag, type=spec.kind, metavar=metavar, default=argparse.SUPPRESS, help=text)


def read_options(args: argparse.Namespace, options: type[T], defaults: Mapping[str, Any] | None = None) -> T:
    """The option object from parsed flags.

    Args:
        args: what argparse returned.
        options: the dataclass.
        defaults: values of fields whose flag was not given, before the dataclass's own.

    Raises:
        OptionError: a value is out of range.
    """
    flags = {spec.name: getattr(args, spec.name) for spec in option_specs(options) if hasattr(args, spec.name)}
    return options(**{**(defaults or {}), **flags})


def _help(spec: OptionSpec, by_model: bool) -> str:
    parts = [spec.help.replace("%", "%%")]
    if spec.low is not None and spec.high is not None:
        parts.append(f"({spec.low:g} to {spec.high:g}{' ' + spec.unit if spec.unit else ''})")
    if by_model:
        parts.append("[default: the model's own]")
    elif spec.kind is bool:
        parts.append(f"[default: {'on' if spec.default else 'off'}]")
    else:
        parts.append(f"[default: {f'{spec.default:g}' if spec.kind is float else spec.default}]")
    return " ".join(parts)
