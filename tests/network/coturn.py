"""Debian's coturn with the configuration that Parta ships, and only those values changed that are everybody's own."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.interop.ffmpeg_publisher import certificate
from tests.network.namespaces import SCHOOL

SHIPPED = Path(__file__).parents[2] / "config" / "turnserver.conf"
SECRET = "a secret that only relay and coturn know"
URL = f"turns:{SCHOOL}:443?transport=tcp"
START_S, STOP_S = 10.0, 5.0


@dataclass(frozen=True)
class Coturn:
    """A running server. ``key_hash`` is what Chromium can be told to trust."""

    log: Path
    certificate: Path

    @property
    def key_hash(self) -> str:
        """The certificate's public key, hashed as ``--ignore-certificate-errors-spki-list`` wants it."""
        found = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        der = found.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return base64.b64encode(hashlib.sha256(der).digest()).decode()

    def tls(self) -> ssl.SSLContext:
        """For a client that takes this server's certificate, whatever its name."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


def _configured(folder: Path) -> tuple[Path, Path]:
    cert, key = certificate(folder)
    own = {
        "realm": "turn.school.example",
        "cert": str(cert),
        "pkey": str(key),
        "static-auth-secret": SECRET,
        "allowed-peer-ip": SCHOOL,
    }
    lines = []
    for line in SHIPPED.read_text().splitlines():
        name, equals, _ = line.partition("=")
        lines.append(f"{name}={own.pop(name)}" if equals and name in own else line)
    assert not own, f"not in the shipped file: {sorted(own)}"
    lines += [f"listening-ip={SCHOOL}", f"relay-ip={SCHOOL}", f"pidfile={folder / 'pid'}", f"userdb={folder / 'db'}"]
    config = folder / "turnserver.conf"
    config.write_text("\n".join(lines) + "\n")
    return config, cert


@asynccontextmanager
async def coturn(folder: Path) -> AsyncIterator[Coturn]:
    """The server in the namespace of this thread, until the context ends."""
    program = shutil.which("turnserver")
    assert program is not None
    config, cert = _configured(folder)
    log = folder / "coturn.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(program, "-c", str(config), stdout=output, stderr=output)
    try:
        async with asyncio.timeout(START_S):
            while not await _listens():
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.05)
        yield Coturn(log, cert)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _listens() -> bool:
    try:
        _, writer = await asyncio.open_connection(SCHOOL, 443)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
