"""The real panel: buttons, lamps and a buzzer on the Pi's pins. Exists only for ``panel.kind = "gpio"``."""
