"""Stands in for pidng, which picamera2 imports to write DNG files, and which needs a compiler. A kit writes none."""
