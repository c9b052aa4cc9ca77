"""The panel: buttons, lamps, buzzer. ``base.py`` has the protocols; ``kit.py`` alone names an adapter."""
