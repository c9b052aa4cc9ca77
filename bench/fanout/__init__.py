"""The relay's cost per viewer, beside Janus in the same run: the same stream, the same viewers, the same machine.

``stream.py`` makes the lesson, ``feeder.py`` plays it, ``parta.py`` and ``janus.py`` are the servers, ``viewers.py`` is
the load in a process of its own (each viewer a ``peer.py``, joined by ``signalling.py``), ``duel.py`` measures. The
server has one core to itself, the load the other. ``make bench-fanout`` runs it in a network namespace of its own:
Janus gathers no loopback addresses.
"""
