"""``parta-kit``: the command that runs a kit.

Not here: what a kit does (``kit.py``). Whatever a person can put right (configuration, files, ports) ends in one line
on stderr and exit code 2; a traceback is a bug.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from appliance.errors import KitError
from appliance.settings import KitSettings, load_settings
from config.strict_toml import ConfigurationError

DEFAULT_CONFIG = Path("/etc/parta/kit.toml")
STOP_AT_MOST_S = 5  # systemd and `make run` wait so long; kit.py's stages add up to less
OK, CANNOT_START = 0, 2
LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

#: Libraries that tell every packet or request at "info"; their warnings are ours too.
QUIET = ("aiohttp", "aioice", "aiortc", "libav")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings(options.config)
        if options.command == "check":
            print(f"{options.config}: good")
            return OK
        return _run(settings)
    except (ConfigurationError, KitError) as error:
        print(f"parta-kit: {error}", file=sys.stderr)
        return CANNOT_START


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="parta-kit",
        description="The box in the classroom: one button, and the lesson is live for the pupils at home.",
        epilog="Exit codes: 0 stopped or switched off, 1 failed (start it again), 2 cannot start until you change "
        "something; the last line says what.",
        parents=[_config(DEFAULT_CONFIG)],
    )
    common = _config(argparse.SUPPRESS)  # before the command or after it; after it, silence leaves the former
    parser.add_argument("--version", action="version", version=f"parta-kit {software_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser(
        "run",
        parents=[common],
        help="run the kit until it is switched off or told to stop (Ctrl-C, SIGTERM)",
        description="Run the kit. A lesson that goes on when it is told to stop is ended first.",
    )
    commands.add_parser(
        "check",
        parents=[common],
        help="read the settings, say whether they are good, and do nothing else",
        description="Read the settings and say whether they are good. Opens no device and asks no relay.",
    )
    return parser


def _config(default: Path | str) -> argparse.ArgumentParser:
    option = argparse.ArgumentParser(add_help=False)
    option.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=default,
        help=f"the kit's settings (default: {DEFAULT_CONFIG}); config/kit.toml explains every key",
    )
    return option


def software_version() -> str:
    """This build's version, as told to the relay."""
    try:
        return version("parta")
    except PackageNotFoundError:
        return "0+source"  # run from a checkout that was never installed


def _run(settings: KitSettings) -> int:
    logging.basicConfig(stream=sys.stderr, format=LOG_FORMAT, level=settings.kit.log_level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    from appliance.kit import Kit  # half a second of native libraries that --help and check do without

    async def until_told() -> None:
        stop = asyncio.Event()
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(sign, _told, stop)
        await Kit(settings, software=f"parta-kit {software_version()}").run(stop)

    asyncio.run(until_told())
    return OK


def _told(stop: asyncio.Event) -> None:
    if not stop.is_set():
        # A native call that hangs (a camera driver, say) must not keep the kit from stopping: the kernel ends it then.
        signal.alarm(STOP_AT_MOST_S)
        stop.set()
