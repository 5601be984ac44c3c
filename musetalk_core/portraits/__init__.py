"""Drawn talking people with ground truth: test fixtures, training identities, and the demo's source."""
