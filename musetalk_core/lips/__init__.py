"""The lips: faces to latents, latents and sound to new lips, and back to pictures."""
