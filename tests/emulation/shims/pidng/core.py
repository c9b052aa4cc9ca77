"""See the package."""


class PICAM2DNG:
    """Named by picamera2, never made by a kit."""
