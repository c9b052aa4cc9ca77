"""Who may come in: guesses that are slowed down, and sessions that end. Pure: the caller brings the time.

Wrong PINs cost a wait that doubles, for their address and, later, for everybody: an attacker with many addresses gets a
few hundred guesses a day at a hundred million PINs, and a person who mistypes waits for a second.
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass

#: (guesses that cost nothing, first wait, longest wait) in seconds; each further wrong guess doubles the wait.
PER_ADDRESS = (2, 1.0, 900.0)
IN_ALL = (20, 1.0, 300.0)
#: Without a wrong guess for so long, an address starts anew.
FORGOTTEN_AFTER_S = 3600.0
MAX_ADDRESSES = 256

#: A session that nobody uses, and one that is used all day.
IDLE_S = 15 * 60.0
AT_MOST_S = 2 * 3600.0
MAX_SESSIONS = 8


@dataclass(slots=True)
class _Count:
    wrong: int = 0
    last_s: float = 0.0
    open_s: float = 0.0

    def failed(self, limits: tuple[int, float, float], now_s: float) -> None:
        if now_s - self.last_s > FORGOTTEN_AFTER_S:
            self.wrong = 0
        free, first_s, longest_s = limits
        self.wrong, self.last_s = self.wrong + 1, now_s
        if self.wrong > free:
            self.open_s = now_s + min(longest_s, first_s * 2.0 ** min(self.wrong - free - 1, 30))


class Guesses:
    """Wrong PINs, per address and in all."""

    def __init__(self) -> None:
        self._all = _Count()
        self._of: OrderedDict[str, _Count] = OrderedDict()

    def wait_s(self, address: str, now_s: float) -> float:
        """How long this address has to wait before its next guess is looked at."""
        own = self._of.get(address)
        return max(0.0, self._all.open_s - now_s, 0.0 if own is None else own.open_s - now_s)

    def failed(self, address: str, now_s: float) -> None:
        """A wrong PIN."""
        own = self._of.setdefault(address, _Count())
        self._of.move_to_end(address)
        own.failed(PER_ADDRESS, now_s)
        self._all.failed(IN_ALL, now_s)
        if len(self._of) > MAX_ADDRESSES:
            self._of.popitem(last=False)

    def passed(self, address: str) -> None:
        """The right one: the address is somebody who mistyped. What all others guess still counts."""
        self._of.pop(address, None)


@dataclass(slots=True)
class _Session:
    pin_salt: str
    began_s: float
    used_s: float


class Sessions:
    """Who is in. A session's name is 256 random bits, and known here by its digest alone."""

    def __init__(self) -> None:
        self._of: OrderedDict[bytes, _Session] = OrderedDict()

    def begin(self, pin_salt: str, now_s: float) -> str:
        """A new session's name, for the cookie. The oldest makes room."""
        name = secrets.token_urlsafe(32)
        self._of[_key(name)] = _Session(pin_salt, now_s, now_s)
        if len(self._of) > MAX_SESSIONS:
            self._of.popitem(last=False)
        return name

    def is_in(self, name: str, pin_salt: str, now_s: float, *, uses: bool = True) -> bool:
        """Whether this session holds, under the PIN of this salt. ``uses``: a person did something."""
        session = self._of.get(_key(name))
        if session is None:
            return False
        if (
            now_s - session.used_s > IDLE_S
            or now_s - session.began_s > AT_MOST_S
            or not hmac.compare_digest(session.pin_salt, pin_salt)
        ):
            self.end(name)
            return False
        if uses:
            session.used_s = now_s
        return True

    def end(self, name: str) -> None:
        """Leave."""
        self._of.pop(_key(name), None)


def _key(name: str) -> bytes:
    return hmac.digest(b"parta setup session", name.encode(), "sha256")
