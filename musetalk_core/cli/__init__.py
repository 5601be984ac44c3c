"""The command line `musetalk`: one file a subcommand, and nothing that the library cannot do without it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .. import __version__
from ..errors import MuseTalkError
from . import avatar, demo, dub, eval, live, track, train
from . import models as models
from .console import write_line

COMMANDS = (demo, dub, live, avatar, track, eval, train, models)
FAILED = 1  # our own errors: one clear line on stderr
INTERRUPTED = 130  # what shells expect after Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments without the program's name; None takes the process's own.

    Returns:
        0 when done, 1 after one of our errors (one line on stderr), 130 after Ctrl-C. argparse itself exits with 2 on
        wrong usage.
    """
    parser = argparse.ArgumentParser(prog="musetalk", description="Make a face in a video speak new audio.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    args = parser.parse_args(argv)
    try:
        return int(args.run(args))
    except MuseTalkError as error:
        write_line(f"musetalk: {error}", sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        write_line("musetalk: stopped.", sys.stderr)
        return INTERRUPTED
