"""The way to the relay: through the school's proxy, and under the school's own authority, over real sockets."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from appliance.errors import RelayUnreachable
from appliance.stream.way import Way
from tests.running import free_port

HERE = ipaddress.IPv4Address("127.0.0.1")
WITHIN = aiohttp.ClientTimeout(total=15)


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, as a school's authority would, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "school")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "school.pem", folder / "key.pem"
    public.write_bytes(certificate.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return public, private


@asynccontextmanager
async def _server(tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="the relay")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
        yield port
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _proxy(seen: list[str]) -> AsyncIterator[int]:
    """An HTTP proxy that tunnels (RFC 9110 §9.3.6) and forwards, and notes what it was asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target = head.split()[:2]
        seen.append(f"{method.decode()} {target.decode()}")
        host, _, port = target.removeprefix(b"http://").partition(b"/")[0].decode().partition(":")
        there, out = await asyncio.open_connection(host, int(port))
        if method == b"CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            out.write(head)
        await asyncio.wait(
            [asyncio.create_task(_pump(reader, out)), asyncio.create_task(_pump(there, writer))],
            return_when=asyncio.ALL_COMPLETED,
        )

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except (ConnectionError, ssl.SSLError):
        pass  # either end may close first
    finally:
        sink.close()


async def _get(way: Way, url: str) -> str:
    async with way.session(force_close=True) as http, http.get(url, timeout=WITHIN) as answer:
        return await answer.text()


async def test_a_proxy_carries_what_is_asked_when_there_is_one() -> None:
    seen: list[str] = []
    async with _server() as port, _proxy(seen) as proxy:
        url = f"http://127.0.0.1:{port}/"
        assert await _get(Way(), url) == "the relay"
        assert seen == []
        assert await _get(Way(proxy=f"http://127.0.0.1:{proxy}"), url) == "the relay"
        assert seen == [f"GET {url}"]


async def test_the_schools_own_authority_is_trusted_when_it_is_named_and_only_then(tmp_path: Path) -> None:
    public, private = await asyncio.to_thread(_certificate, tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(public, private)
    async with _server(tls) as port:
        url = f"https://127.0.0.1:{port}/"
        assert await _get(Way(ca_file=str(public)), url) == "the relay"
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await _get(Way(), url)


async def test_an_authority_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RelayUnreachable, match=r"relay\.ca_file: .*none\.pem"):
        Way(ca_file=str(tmp_path / "none.pem")).session()
