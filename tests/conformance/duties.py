"""A standard as a list of duties: what each asks, the check of it, and how a whole list is run and told.

Knows no protocol. The suites beside it (``whip_server.py``, ``whep_server.py``, ``whip_client.py``) hold the duties; a
check raises ``Broken`` or ``NotOffered``, and whatever does not is a pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, Literal, TypeVar

import aiohttp

DUTY_S = 20.0  # one duty on a slow link; what waits for an expiry has its own patience

Subject = TypeVar("Subject")
Level = Literal["must", "should"]


class Verdict(Enum):
    """What became of a duty."""

    PASS = "pass"
    FAIL = "fail"
    NOT_OFFERED = "not offered"


class Broken(AssertionError):
    """The duty is not kept; the text says how."""


class NotOffered(Exception):
    """The duty is about something optional, which is not there; the text says how that showed."""


@dataclass(frozen=True, slots=True)
class Duty(Generic[Subject]):
    """One thing that a standard asks. ``key`` is stable and short, ``section`` where it is asked."""

    key: str
    level: Level
    section: str
    text: str
    check: Callable[[Subject], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Result:
    """How one duty was kept."""

    key: str
    level: Level
    section: str
    text: str
    verdict: Verdict
    detail: str = ""

    def line(self) -> str:
        """For a person."""
        told = f": {self.detail}" if self.detail else ""
        should = " (should)" if self.level == "should" else ""
        return f"{self.verdict.value:12}{self.key:24}{self.text} [{self.section}]{should}{told}"


class Suite(Generic[Subject]):
    """The duties of one side of one protocol, in the order in which they are told."""

    def __init__(self, *earlier: Suite[Subject]) -> None:
        self.duties: list[Duty[Subject]] = [duty for suite in earlier for duty in suite.duties]

    def duty(
        self, key: str, section: str, text: str, level: Level = "must"
    ) -> Callable[[Callable[[Subject], Awaitable[None]]], Callable[[Subject], Awaitable[None]]]:
        """Register the check below as a duty."""

        def register(check: Callable[[Subject], Awaitable[None]]) -> Callable[[Subject], Awaitable[None]]:
            self.duties.append(Duty(key, level, section, text, check))
            return check

        return register

    @property
    def keys(self) -> list[str]:
        """Of all duties."""
        return [duty.key for duty in self.duties]

    async def run(self, subject: Subject, keys: Iterable[str] | None = None) -> list[Result]:
        """Check all duties, or those named, one after the other."""
        wanted = set(self.keys if keys is None else keys)
        return [await _checked(duty, subject) for duty in self.duties if duty.key in wanted]


def need(holds: object, detail: str) -> None:
    """Raise ``Broken`` unless it holds."""
    if not holds:
        raise Broken(detail)


async def _checked(duty: Duty[Subject], subject: Subject) -> Result:
    verdict, detail = Verdict.PASS, ""
    try:
        await duty.check(subject)
    except Broken as broken:
        verdict, detail = Verdict.FAIL, str(broken)
    except NotOffered as absent:
        verdict, detail = Verdict.NOT_OFFERED, str(absent)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        verdict, detail = Verdict.FAIL, f"no answer: {str(error) or type(error).__name__}"
    return Result(duty.key, duty.level, duty.section, duty.text, verdict, detail)


def exit_code(results: Sequence[Result]) -> int:
    """0: every "must" that is offered is kept. 1: one is not."""
    return int(any(result.verdict is Verdict.FAIL and result.level == "must" for result in results))


def told(results: Sequence[Result]) -> str:
    """One line for each duty, and their sum."""
    counts = {verdict: sum(result.verdict is verdict for result in results) for verdict in Verdict}
    total = ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items())
    return "\n".join([*(result.line() for result in results), total])


def main(run: Awaitable[list[Result]]) -> int:
    """Run a suite as a program: print what became of it; the exit code."""

    async def awaited() -> list[Result]:
        return await run

    results = asyncio.run(awaited())
    print(told(results))
    return exit_code(results)
