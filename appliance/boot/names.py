"""What ``[kit]`` and ``[ssh]`` of the boot file may call a kit, its time zone and its visitors' keys: the checks.

Pure, but for the system's time zones. Used by ``file.py``. Each check says what is wrong, as the rest of a sentence
that begins with the key, or nothing.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")  # RFC 1123 §2.1
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
#: sshd(8), "AUTHORIZED_KEYS FILE FORMAT"; DSA is gone from OpenSSH.
_KEY_TYPES = (
    "ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
)  # fmt: skip
_SHOWN = 24  # characters of a key that is wrong: enough to find it by


def host_name_trouble(name: str) -> str | None:
    """A host name is one label, which a router and multicast DNS take as it is."""
    if not _LABEL.fullmatch(name):
        return f'"{name}" is no host name; use 1 to 63 letters a to z, digits and hyphens, none at either end'
    if name.isdigit():
        return f'"{name}" is digits alone, which programs take for an address; write "kit-{name}"'
    if name.lower() == "localhost":
        return f'"{name}" is what every machine calls itself'
    return None


def time_zone_trouble(name: str) -> str | None:
    """A zone of the IANA's, which this system knows; on a PC that knows none, as Windows, its form alone."""
    if _ZONE.fullmatch(name):
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones, or no place of theirs at all
            zones = available_timezones()
            if not zones:
                return None
        else:
            return None
    else:
        zones = available_timezones()
    near = difflib.get_close_matches(name, zones, n=1)
    return f'"{name}" is no time zone; ' + (f"did you mean {near[0]}?" if near else 'write it as "Asia/Yekaterinburg"')


def public_key_trouble(line: str) -> str | None:
    """A public key as a line of its ``.pub`` file, without options before it."""
    if "PRIVATE KEY" in line:
        return "holds a private key, which is for nobody but its owner; write the line of the .pub file"
    kind, _, rest = line.partition(" ")
    if "\n" in line or "\r" in line:
        return f'"{kind[:_SHOWN]}" goes on over a line\'s end; write each key on its own, in quotes'
    if kind not in _KEY_TYPES:
        return f'"{line[:_SHOWN]}" is no public key; write the line of a .pub file, which begins with ssh-ed25519'
    if not _holds(rest.split(" ")[0], kind):
        return f'"{line[: len(kind) + _SHOWN]}…" is cut short or mistyped; copy the whole line of the .pub file'
    return None


def _holds(encoded: str, kind: str) -> bool:
    """Whether this is base64 of fields with their lengths before them (RFC 4253 §6.6), the first of them the type."""
    try:
        left = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return False
    fields = []
    while len(left) >= 4:
        length = int.from_bytes(left[:4])
        fields.append(left[4 : 4 + length])
        if len(fields[-1]) < length:
            return False
        left = left[4 + length :]
    return not left and len(fields) > 1 and fields[0] == kind.encode()
