"""Live: speech goes in as it is spoken, frames come out at once."""
