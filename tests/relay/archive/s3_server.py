"""A real S3 server on loopback, for tests: VersityGW over a folder, as `make test-bucket` installs it."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.relay.running import free_port

BUCKET = "lessons"
BUILT = Path(__file__).resolve().parents[3] / ".cache" / "s3" / "versitygw"
START_S = 20.0


@dataclass(frozen=True)
class S3Server:
    """Where it is, and the one key that opens it. ``folder`` is where its objects are."""

    endpoint: str
    access_key_id: str
    secret_access_key: str
    folder: Path


def s3_program() -> str | None:
    """The server's program, if it is here."""
    return str(BUILT) if BUILT.exists() else shutil.which("versitygw")


@asynccontextmanager
async def s3_server(folder: Path) -> AsyncIterator[S3Server]:
    """The server with an empty bucket, for the length of the context."""
    program = s3_program()
    assert program is not None
    objects = folder / "objects"
    (objects / BUCKET).mkdir(parents=True)
    port, key, secret = free_port(socket.SOCK_STREAM), "parta-test", secrets.token_hex(16)
    environment = {**os.environ, "ROOT_ACCESS_KEY": key, "ROOT_SECRET_KEY": secret}
    with (folder / "s3.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            program, "--port", f"127.0.0.1:{port}", "posix", str(objects), env=environment, stdout=log, stderr=log
        )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        await _answers(endpoint, process)
        yield S3Server(endpoint, key, secret, objects / BUCKET)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _answers(endpoint: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_S), aiohttp.ClientSession() as http:
        while True:
            assert process.returncode is None, "the server ended at once: see s3.log beside its objects"
            try:
                async with http.get(endpoint):
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)
