"""Does a WHIP server keep RFC 9725? ``python -m tests.conformance.whip_server URL [--token TOKEN]``

One line for each duty: pass, fail or not offered. The exit code is 0 when every "must" that is offered is kept, and 1
when one is not. Opens sessions one after the other and ends them; media is never sent.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import aiohttp
from yarl import URL

from tests.conformance.duties import Result, Suite, main
from tests.conformance.endpoint import Endpoint
from tests.conformance.ice_duties import ice
from tests.conformance.offers import Direction
from tests.conformance.setup_duties import setup

whip_server: Suite[Endpoint] = Suite(setup, ice)


async def ask_server(suite: Suite[Endpoint], direction: Direction, options: argparse.Namespace) -> list[Result]:
    """Run a suite on the server that the options name."""
    async with aiohttp.ClientSession() as http:
        endpoint = Endpoint(
            url=URL(options.url),
            http=http,
            direction=direction,
            token=options.token,
            patience_s=options.patience,
            most_sessions=options.most_sessions,
        )
        return await suite.run(endpoint, options.only)


def options_of(arguments: Sequence[str], what: str, suite: Suite[Endpoint]) -> argparse.Namespace:
    """Read a command line."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("url", help="the endpoint, such as https://relay.example/whip")
    parser.add_argument("--token", help="the bearer token, if it needs one")
    parser.add_argument("--only", nargs="+", choices=suite.keys, metavar="DUTY", help="check these duties alone")
    parser.add_argument(
        "--patience", type=float, default=0.0, metavar="S", help="wait so long for a silent session to be freed"
    )
    parser.add_argument(
        "--most-sessions", type=int, default=0, metavar="N", help="open so many sessions to see the server full"
    )
    options = parser.parse_args(arguments)
    if not options.url.startswith(("http://", "https://")):
        parser.error("URL has to start with http:// or https://")
    return options


if __name__ == "__main__":
    sys.exit(
        main(ask_server(whip_server, "sendonly", options_of(sys.argv[1:], "RFC 9725's server duties", whip_server)))
    )
