"""Somebody with a laptop on the booted kit's network, who comes by SSH; used by ``test_booted_image.py``.

A network namespace in the machine, at the other end of a virtual cable: what it sends passes the kit's firewall.
"""

from __future__ import annotations

from types import TracebackType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.emulation.running_machine import Machine

KIT, DESK = "192.0.2.1", "192.0.2.2"  # RFC 5737: nobody's
PORT = 8000  # of a page on the desk
LOGIN_S = 120.0  # under software emulation, beside other work
#: In bash, from the kit.
REACH_DESK = f": <>/dev/tcp/{DESK}/{PORT}"


def new_key() -> tuple[str, str]:
    """A private key as OpenSSH keeps it, and the line of its ``.pub`` file."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode(), f"{public} a test"


class Visitor:
    """Comes with a cable, and takes it away again."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    async def __aenter__(self) -> Visitor:
        await self._machine.run(
            "ip netns add desk && ip link add desk0 type veth peer name desk1 netns desk && "
            f"ip address add {KIT}/24 dev desk0 && ip link set desk0 up && "
            f"ip -n desk address add {DESK}/24 dev desk1 && ip -n desk link set desk1 up && "
            "{ ip netns exec desk python3 -m http.server " + f"{PORT} >/dev/null 2>&1 & echo $! >/run/desk; }}"
        )
        await self._machine.until(f"bash -c '{REACH_DESK}' 2>/dev/null", LOGIN_S)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._machine.run("kill $(cat /run/desk); ip link delete desk0; ip netns delete desk; rm -f /run/visitor")

    async def logs_in(self, name: str, key: str, command: str) -> str:
        """What the command says there, or ssh itself, when it is not let in."""
        await self._machine.run(f"umask 077; cat >/run/visitor <<'END'\n{key}END\n")
        options = "-o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        ssh = f"ip netns exec desk ssh -i /run/visitor {options} -o IdentitiesOnly=yes -o ConnectTimeout=60"
        return await self._machine.run(f"{ssh} {name}@{KIT} '{command}' 2>&1 || true", LOGIN_S)
