"""What ``parta-kit``'s commands do beside running a kit: a module each, loaded when asked for (``cli.py``)."""
