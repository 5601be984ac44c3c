"""Faces: where they are, whose they are, their crops and their masks."""
