"""To the relay: the WHIP publisher, the control channel, enrolment and board stills.

``aiortc`` and ``aioice`` are touched in ``peer.py`` alone.
"""
