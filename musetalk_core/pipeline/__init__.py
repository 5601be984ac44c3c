"""Stages joined into jobs: prepare an avatar, speak, dub a file."""
