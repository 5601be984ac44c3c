"""Sound: reading, resampling, the encoder's features, and when somebody speaks."""
