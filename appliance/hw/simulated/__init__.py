"""The simulated panel: the kit's face as a web page and an HTTP API. Exists only for ``panel.kind = "simulated"``."""
