"""Putting new mouths into the frames."""
