"""Meters: how good a dubbed video is, each number with its control."""
