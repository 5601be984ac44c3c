"""The errors of this library: each says what is wrong and how to mend it.

Everything that we raise on purpose is a `MuseTalkError`, so one `except` at the edge (command line, node, server) turns
it into one clear line. Anything else is a bug of ours. A host's cancel is a `BaseException` of the host and passes
through untouched.
"""


class MuseTalkError(Exception):
    """What is wrong, and what the user can do about it.

    Args:
        what: one sentence on what is wrong, naming the file, frame or value.
        fix: one sentence on what to do; empty when there is nothing to advise.
    """

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what, fix)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what} {self.fix}".strip()


class OptionError(MuseTalkError):
    """An option has a value outside its range, or options contradict each other."""


class MediaError(MuseTalkError):
    """A video, image or sound cannot be read or written."""


class FaceError(MuseTalkError):
    """There is no usable face where one is needed."""


class ModelError(MuseTalkError):
    """A weight file is missing, damaged, of another network, or does not fit its partner."""


class GenerationError(MuseTalkError):
    """A network gave NaN or infinite values even in full precision, or does not fit into memory at batch 1."""


class AvatarError(MuseTalkError):
    """A saved avatar is damaged, of another version, or was made from other footage, another model or other options."""
