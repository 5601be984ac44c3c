"""Lip-sync: make a face in a video speak new audio, and change nothing but the mouth."""

__version__ = "0.1.0"
