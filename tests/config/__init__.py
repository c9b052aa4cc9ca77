"""The shipped configuration and its strict reader."""
