"""The relay's settings: frozen, strictly parsed, and the same as ``config/relay.toml`` by default.

Not here: reading files (``config/strict_toml.py``) and acting on a setting (``app.py``).
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from config.strict_toml import ConfigurationError, load

MAX_PORT = 65535
Port = Annotated[int, msgspec.Meta(ge=1, le=MAX_PORT)]
#: RFC 7065. Nothing that could break out of a Link header.
_TURN_URL = re.compile(r"turns?:([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(\?transport=(udp|tcp))?")

_BUCKET_URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*")


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class RelaySection(_Section, frozen=True, kw_only=True):
    """``[relay]``"""

    state_dir: str = "/var/lib/parta-relay"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class WebSection(_Section, frozen=True, kw_only=True):
    """``[web]``: ``public_url`` is what pupils and kits see; behind a proxy it differs from ``host``:``port``."""

    host: str = "127.0.0.1"
    port: Port = 8080
    public_url: str = "http://127.0.0.1:8080"
    announce: bool = False


class MediaSection(_Section, frozen=True, kw_only=True):
    """``[media]``: the one UDP port, or the first of ``workers``, each a process with a port of its own. ``advertise``
    are the addresses that peers are told; empty: this machine's.

    An entry is ``203.0.113.7``, ``2001:db8::7``, or with a port where a router forwards another one:
    ``203.0.113.7:18443``, ``[2001:db8::7]:18443``; of several workers that is the first one's.
    """

    port: Port = 8443
    advertise: tuple[str, ...] = ()
    max_sessions: Annotated[int, msgspec.Meta(ge=1)] = 2000
    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1

    @property
    def last_port(self) -> int:
        """The last of the UDP ports."""
        return self.port + self.workers - 1


class TurnSection(_Section, frozen=True, kw_only=True):
    """``[turn]``: TURN servers for peers whose network lets no UDP through, such as
    ``turns:turn.school.example:443?transport=tcp``; ``secret_file`` holds what coturn calls ``static-auth-secret``."""

    urls: tuple[str, ...] = ()
    secret_file: str = ""
    credentials_s: Annotated[int, msgspec.Meta(ge=60, le=86400)] = 14400


class ArchiveSection(_Section, frozen=True, kw_only=True):
    """``[archive]``: recordings, kept for ``keep_days`` unless their class has a number of its own; ``keep_free_mb`` of
    the disk are left to everything else. ``store``: ``s3://bucket/prefix``; empty is ``relay.state_dir``."""

    keep_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 14
    keep_free_mb: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 500
    store: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    credentials_file: str = ""


class StoreSection(_Section, frozen=True, kw_only=True):
    """``[store]``: an SQLAlchemy async URL; empty is SQLite in ``relay.state_dir``."""

    database: str = ""


class RelaySettings(_Section, frozen=True, kw_only=True):
    """Everything that ``relay.toml`` can say."""

    relay: RelaySection = RelaySection()
    web: WebSection = WebSection()
    media: MediaSection = MediaSection()
    turn: TurnSection = TurnSection()
    archive: ArchiveSection = ArchiveSection()
    store: StoreSection = StoreSection()


def load_settings(path: Path) -> RelaySettings:
    """Read and check a ``relay.toml``. Raises ``ConfigurationError``."""
    settings = load(path, RelaySettings)
    if not settings.web.public_url.startswith(("http://", "https://")):
        raise ConfigurationError(f"{path}: web.public_url: must start with https:// (or http:// on a trusted wire)")
    if settings.web.announce and _is_loopback(settings.web.public_url):
        raise ConfigurationError(
            f"{path}: web.announce: is true, and web.public_url is good on this machine only; say how kits reach it"
        )
    if settings.media.last_port > MAX_PORT:
        raise ConfigurationError(
            f"{path}: media.workers: {settings.media.workers} of them need the UDP ports {settings.media.port} to "
            f"{settings.media.last_port}, and there are {MAX_PORT}; choose a lower media.port"
        )
    for url in settings.turn.urls:
        if not _TURN_URL.fullmatch(url):
            raise ConfigurationError(
                f'{path}: turn.urls: "{url}" is no TURN server; write it as turns:HOST:443?transport=tcp'
            )
    _check_archive(path, settings.archive)
    if bool(settings.turn.urls) != bool(settings.turn.secret_file):
        raise ConfigurationError(f"{path}: turn: urls and secret_file go together; give both or none (docs/turn.md)")
    return settings


def _check_archive(path: Path, archive: ArchiveSection) -> None:
    if archive.store and not _BUCKET_URL.fullmatch(archive.store):
        raise ConfigurationError(
            f'{path}: archive.store: "{archive.store}" is no bucket; write it as s3://BUCKET/PREFIX'
        )
    if archive.endpoint and not archive.endpoint.startswith(("http://", "https://")):
        raise ConfigurationError(f"{path}: archive.endpoint: must start with https:// (or http:// on a trusted wire)")
    if bool(archive.store) != bool(archive.credentials_file):
        raise ConfigurationError(f"{path}: archive: store and credentials_file go together; give both or none")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
