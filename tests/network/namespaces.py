"""A school and a pupil's home as two hosts of ``tests/network_hosts.py``, with a second way between them.

```
 relay, kit, coturn, the test itself              the pupil's browser
 ┌ school: 10.77.0.1 ┐ Wi-Fi, eth0  10.77.1.1 ── 10.77.1.2 ┌ home ┐
 └───────────────────┘ mobile       10.77.2.1 ── 10.77.2.2 └──────┘
```

Nothing of it can be reached from outside, and nothing outside from it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.network_hosts import COMMAND_S, Host, hosts, ip
from tests.network_hosts import missing as no_hosts

SCHOOL = "10.77.0.1"
_CLONE_NEWNET = 0x40000000  # linux/sched.h

Way = Literal["eth0", "mobile"]
WIFI: Way = "eth0"
MOBILE: Way = "mobile"
_NUMBER: dict[Way, int] = {WIFI: 1, MOBILE: 2}  # the lower one is preferred


def missing(*programs: str) -> str:
    """Why this cannot be had here, with the remedy; empty if it can."""
    lacking = [name for name in ("ip", *programs) if shutil.which(name) is None]
    why = f"needs {', '.join(lacking)}" if lacking else no_hosts()
    return f"{why}: run `make test-network` as root" if why else ""


@dataclass(frozen=True)
class Net:
    """The two hosts, and what can happen between them."""

    school: Host
    home: Host

    def up(self, way: Way) -> None:
        """Bring a way up, and send what leaves the home over it."""
        number = _NUMBER[way]
        ip("-n", self.home.name, "link", "set", way, "up")
        route = ("default", "via", f"10.77.{number}.1", "dev", way, "metric", f"{number}00")
        ip("-n", self.home.name, "route", "replace", *route)

    def down(self, way: Way) -> None:
        """Take a way from the home, as when a phone leaves the Wi-Fi; its routes go with it."""
        ip("-n", self.home.name, "link", "set", way, "down")

    def block_udp(self) -> None:
        """A firewall that lets no UDP in from the home, and counts what it drops."""
        self._nft("add", "table", "inet", "strict")
        self._nft("add", "chain", "inet", "strict", "in", "{ type filter hook input priority 0; policy accept; }")
        for way in ("eth0", "mobile"):
            self._nft("add", "rule", "inet", "strict", "in", "iifname", way, "meta l4proto udp", "counter drop")

    def dropped(self) -> int:
        """How many datagrams the firewall has dropped, of those by Wi-Fi."""
        return int(self._nft("list", "table", "inet", "strict").partition("packets ")[2].split()[0])

    def _nft(self, *words: str) -> str:
        command = ["ip", "netns", "exec", self.school.name, "nft", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMMAND_S).stdout

    def at_home(self, program: str, folder: Path) -> str:
        """A script that runs this program in the home."""
        script = folder / f"{Path(program).name}-at-home"
        script.write_text(f'#!/bin/sh\nexec ip netns exec {self.home.name} "{program}" "$@"\n')
        script.chmod(0o755)
        return str(script)


@contextmanager
def school_and_home() -> Iterator[Net]:
    """Both hosts, with the Wi-Fi up; this thread, and what it starts, is in the school."""
    with hosts([f"10.77.{_NUMBER[WIFI]}.{side}" for side in (1, 2)]) as (school, home):
        net = Net(school, home)
        ip("-n", school.name, "address", "add", f"{SCHOOL}/32", "dev", "lo")
        ip("-n", school.name, "link", "add", MOBILE, "type", "veth", "peer", "name", MOBILE, "netns", home.name)
        for side, host in enumerate((school, home), 1):
            ip("-n", host.name, "address", "add", f"10.77.{_NUMBER[MOBILE]}.{side}/24", "dev", MOBILE)
        ip("-n", school.name, "link", "set", MOBILE, "up")
        net.up(WIFI)
        with _inside(school.name):
            yield net


@contextmanager
def _inside(name: str) -> Iterator[None]:
    """Move this thread into a namespace: sockets and processes that it makes are of that one."""
    with contextlib.ExitStack() as stack:
        before, after = (os.open(path, os.O_RDONLY) for path in ("/proc/thread-self/ns/net", f"/run/netns/{name}"))
        for descriptor in (before, after):
            stack.callback(os.close, descriptor)
        _enter(after)
        try:
            yield
        finally:
            _enter(before)


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
