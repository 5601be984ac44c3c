"""Text to speech that the user brings: a function that a package registers in the entry-point group `musetalk.tts`.

[project.entry-points."musetalk.tts"]
my_voice = "my_package:speak"

def speak(text: str) -> Iterator[tuple[np.ndarray, int]]:
    yield pcm, rate  # as `LiveSession.push` takes them, any number of times; or return one such pair
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import entry_points

import numpy as np

from ..errors import MediaError, OptionError

GROUP = "musetalk.tts"
LONGEST = 300  # seconds that one text may take to say

Sound = tuple[np.ndarray, int]
Voice = Callable[[str], Iterable[Sound] | Sound]


def find_voice(name: str = "") -> Voice | None:
    """The registered function of this name.

    Args:
        name: of the entry point; empty takes the only one, or none when there is none.

    Raises:
        OptionError: there is no such function, it cannot be loaded, or there are several and none was named.
    """
    found = {point.name: point for point in entry_points(group=GROUP)}
    if not found and not name:
        return None
    known = ", ".join(sorted(found)) or "none"
    if name not in found and (name or len(found) > 1):
        wrong = f"There is no voice {name!r}." if name else "There are several voices."
        raise OptionError(wrong, f"Choose with --voice. Registered as {GROUP}: {known}.")
    point = found[name] if name else next(iter(found.values()))
    try:
        voice: Voice = point.load()
    except Exception as error:  # somebody else's package: anything may go wrong in it
        raise OptionError(f"The voice {point.name!r} cannot be loaded: {error!r}.", "Repair its package.") from error
    return voice


def say(voice: Voice, text: str) -> Iterator[Sound]:
    """The sound of a text, piece by piece.

    Raises:
        MediaError: the function fails, or gives something else than sound.
    """
    seconds = 0.0
    try:
        given = voice(text)
        for pcm, rate in [given] if isinstance(given, tuple) else given:
            seconds += np.shape(pcm)[-1] / rate
            if seconds > LONGEST:
                raise MediaError(f"The voice speaks for more than {LONGEST} s.", "Give it less text at once.")
            yield pcm, rate
    except MediaError:
        raise
    except Exception as error:  # as above
        raise MediaError(f"The voice failed: {error!r}.") from error
