"""The networks: what they are, where their weights lie, how a file becomes a network on a device."""
