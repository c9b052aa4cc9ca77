"""What both programs owe the service manager that starts them: readiness, status, an honest watchdog, the journal.

A leaf: imports nothing of ours. Not here: what a program says of itself (``appliance/service_report.py``,
``relay/service_report.py``), and the units (``systemd/``).
"""
