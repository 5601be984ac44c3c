"""Drawn talking people with ground truth: test fixtures, training identities, and the demo's source.

`footage.portrait_footage(seed, seconds)` gives a clip, `draw.Portrait.prepare(Identity.from_seed(seed))` one person to
be drawn in any pose with any mouth. How a head comes about: `surface` is its shape, `light` the light on it; `skin`,
`eyes`, `mouth`, `hair`, `whiskers` and `background` paint parts; `head` joins what is painted once; `draw` moves it.
"""
