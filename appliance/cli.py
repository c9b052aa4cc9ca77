"""``parta-kit``: the command that runs a kit, and those that help to set one up.

Not here: what a kit does (``kit.py``), the words of the command line (``options.py``), what the other commands do
(``commands/``). Whatever a person can put right (configuration, files, ports) ends in one line
on stderr and exit code 2; a traceback is a bug.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence

from appliance.errors import KitError
from appliance.options import parser
from appliance.overrides import load_effective
from appliance.settings import KitSettings, load_settings
from appliance.version import software_version
from config.strict_toml import ConfigurationError
from service.systemd import ServiceUnavailable, open_service

STOP_AT_MOST_S = 5  # systemd and `make run` wait so long; kit.py's stages add up to less
OK, CANNOT_START = 0, 2
INTERRUPTED = 130  # what a shell expects of a command that was interrupted
LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

#: Libraries that tell every packet or request at "info"; their warnings are ours too.
QUIET = ("aiohttp", "aioice", "aiortc", "libav")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    options = parser(software_version()).parse_args(arguments)
    try:
        return _command(options)
    except (ConfigurationError, KitError, ServiceUnavailable) as error:
        print(f"parta-kit: {error}", file=sys.stderr)
        return CANNOT_START
    except KeyboardInterrupt:
        return INTERRUPTED


def _command(options: argparse.Namespace) -> int:
    if options.command == "discover":
        from appliance.commands.discover import discover

        return discover(options)
    if options.command == "enrol-files":
        from appliance.commands.enrol_files import enrol_files

        return enrol_files(options)
    if options.command == "apply-boot-file":
        from appliance.commands.apply_boot_file import apply

        return apply(load_settings(options.config), options)
    settings = load_effective(options.config)
    if options.command == "check":
        print(f"{options.config}: good")
        return OK
    if options.command == "lamps-off":
        return _lamps_off(settings)
    if options.command == "setup-pin":
        from appliance.commands.setup_pin import setup_pin

        return setup_pin(settings)
    if options.command == "enrol":
        from appliance.commands.enrol import enrol

        return enrol(settings, options)
    if options.command == "doctor":
        from appliance.commands.doctor import doctor

        return doctor(settings, options)
    if options.command == "update":
        return _update(settings, options)
    return _run(settings)


def _update(settings: KitSettings, options: argparse.Namespace) -> int:
    if options.what == "trial":
        from appliance.commands.update_trial import update_trial

        return update_trial(settings, options.within)
    if options.what == "stick":
        from appliance.commands.update_stick import update_from_stick

        return update_from_stick(settings, options.device)
    from appliance.commands.update import update

    return update(settings, options)


def _run(settings: KitSettings) -> int:
    service = open_service("parta-kit")
    service.start_logging(settings.kit.log_level, LOG_FORMAT, QUIET)
    from appliance.kit import Kit  # half a second of native libraries that --help and check do without

    async def until_told() -> None:
        stop = asyncio.Event()
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(sign, _told, stop)
        await Kit(settings, software=f"parta-kit {software_version()}", service=service).run(stop)

    asyncio.run(until_told())
    return OK


def _lamps_off(settings: KitSettings) -> int:
    from appliance.panels import darken

    asyncio.run(darken(settings.panel))
    return OK


def _told(stop: asyncio.Event) -> None:
    if not stop.is_set():
        # A native call that hangs (a camera driver, say) must not keep the kit from stopping: the kernel ends it then.
        signal.alarm(STOP_AT_MOST_S)
        stop.set()
