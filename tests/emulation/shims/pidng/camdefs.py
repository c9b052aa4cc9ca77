"""See the package."""


class Picamera2Camera:
    """Named by picamera2, never made by a kit."""
