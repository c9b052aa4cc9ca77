"""Which panel a kit has: the only place that names the concrete ones.

Apart from ``kit.py``, which loads cameras, microphones and the relay's clients: after a crash lamps have to be dark
within seconds, on the slowest board too, and ``parta-kit lamps-off`` needs nothing of those.
"""

from __future__ import annotations

import logging

from appliance.hw.base import Panel
from appliance.hw.none import NoPanel
from appliance.settings import PanelSection

log = logging.getLogger(__name__)


def new_panel(settings: PanelSection) -> Panel:
    """The panel that the settings name, off."""
    if settings.kind == "none":
        return NoPanel()
    if settings.kind == "gpio":
        from appliance.hw.gpio.panel import GpioPanel

        return GpioPanel(settings)
    from appliance.hw.simulated.server import SimulatedPanel

    return SimulatedPanel(settings.host, settings.port)


async def darken(settings: PanelSection) -> None:
    """Put out every lamp that a kit which died may have left lit. Raises ``PanelUnavailable``, if one still runs."""
    if settings.kind == "gpio":
        async with new_panel(settings).open(lambda _: None):
            log.info("the lamps are off")
