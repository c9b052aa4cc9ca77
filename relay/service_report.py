"""What the relay tells the service manager: what it does, and what has to advance. Used by ``app.py``.

Not here: how it is told (``service/``). Vital are the event loop, which carries all live media, and the tasks: no more.
A database that hangs is not: classes and lessons are served from memory then, and a new start would end them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from relay.classroom.registry import ClassState
from relay.classroom.school import Lesson
from service.vitals import Vitals
from service.watch import alive


class Classes(Protocol):
    """What there is to tell of."""

    def running_lessons(self) -> list[Lesson]: ...
    def class_state(self, class_id: str) -> ClassState: ...


def vitals_of(tasks: Iterable[asyncio.Task[None]]) -> Vitals:
    """What makes this relay a living one."""
    return Vitals(*(alive(task) for task in tasks))


def status_text(classes: Classes) -> str:
    """What ``systemctl status`` says of the relay."""
    teaching = {lesson.class_id for lesson in classes.running_lessons()}
    states = [classes.class_state(class_id) for class_id in teaching]
    live = Counter("live" if state.state == "live" else "not live" for state in states)
    lessons = [f"{_counted(live['live'], 'lesson')} live"]
    if live["not live"]:
        lessons.append(f"{live['not live']} not live")
    return ", ".join([*lessons, _counted(sum(state.viewers for state in states), "viewer")])


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
