"""``parta-relay``: the command that runs a relay, and with which a school's IT person fills it.

Every command works beside a running relay, which notices within a second or two. Whatever a person can put right
(configuration, names, ports) ends in one line on stderr and exit code 2; a traceback is a bug.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from config.strict_toml import ConfigurationError
from relay.errors import RelayError
from relay.options import parser
from relay.settings import RelaySettings, load_settings
from relay.version import software_version
from service.systemd import Service, ServiceUnavailable, open_service

STOP_AT_MOST_S = 5  # systemd and `make run` wait so long; app.py's stages add up to less
OK, CANNOT = 0, 2
LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
QUIET = ("aiohttp.server", "aioice", "aiosqlite", "alembic", "asyncio")  # their warnings are ours too
PRIVATE = 0o077  # the database holds class links: it is nobody else's to read


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    options = parser(software_version()).parse_args(arguments)
    os.umask(PRIVATE)
    try:
        settings = load_settings(options.config)
        if options.command == "check":
            print(f"{options.config}: good")
            return OK
        if options.command == "serve":
            return _serve(settings)
        return asyncio.run(_ask_office(settings, options))
    except (ConfigurationError, RelayError, ServiceUnavailable) as error:
        print(f"parta-relay: {error}", file=sys.stderr)
        return CANNOT
    except KeyboardInterrupt:
        return 130  # what a shell expects of a command that was interrupted


def _serve(settings: RelaySettings) -> int:
    service = open_service("parta-relay")
    service.start_logging(settings.relay.log_level, LOG_FORMAT, QUIET)
    asyncio.run(_serve_until_told(settings, service))
    return OK


async def _serve_until_told(settings: RelaySettings, service: Service) -> None:
    from relay.app import running  # the engine's libraries, which no other command needs

    stop = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(sign, _told, stop)
    async with running(settings, service):
        await stop.wait()


def _told(stop: asyncio.Event) -> None:
    if not stop.is_set():
        signal.alarm(STOP_AT_MOST_S)  # nothing may keep the relay from stopping: the kernel ends it then
        stop.set()


async def _ask_office(settings: RelaySettings, options: argparse.Namespace) -> int:
    from relay.archive.places import files_of
    from relay.command_answers import Desk
    from relay.commands import COMMANDS
    from relay.store.database import opened_database
    from relay.store.keeping import Keeping
    from relay.store.office import Office
    from relay.store.register import ensure_relay_id
    from relay.store.stills import StillFolder

    state_dir = Path(settings.relay.state_dir)
    async with opened_database(settings.store.database, state_dir) as database:
        await ensure_relay_id(database)
        desk = Desk(
            office=Office(database),
            database=database,
            keeping=Keeping(database, settings.archive.keep_days),
            files=files_of(settings),
            stills=StillFolder(state_dir / "stills"),
            public_url=settings.web.public_url.rstrip("/"),
        )
        told = await COMMANDS[f"{options.command} {options.action}"](desk, options)
    print(json.dumps(told.data, ensure_ascii=False) if options.json else told.text)
    return OK
