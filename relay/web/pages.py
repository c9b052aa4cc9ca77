"""The pupil's page and the kind 404: rendered from ``pages/`` in the pupil's language. Not here: what the page does
(``pages/static``) and its files (``static.py``)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from aiohttp import hdrs, web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from relay.classroom.links import is_link
from relay.classroom.school import SchoolClass
from relay.web.context import RELAY

Language = Literal["ru", "en"]
PAGES = Path(__file__).with_name("pages")
DEFAULT_LANGUAGE: Language = "ru"

TEMPLATES: web.AppKey[Environment] = web.AppKey("templates", Environment)


def templates() -> Environment:
    """The pages' templates; everything that is put into them is escaped."""
    return Environment(loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined, auto_reload=False)


async def class_page(request: web.Request) -> web.Response:
    """``GET /c/<link>``"""
    school_class = await class_of(request)
    school = request.app[RELAY].registers.latest.schools[school_class.school_id]
    return page(
        request,
        "page.html",
        200,
        class_name=school_class.name,
        school=school.name,
        events_url=f"{school_class.path}/events",
        whep_url=f"/whep/{school_class.link}",
        lessons_url=f"{school_class.path}/lessons",
    )


def not_found_page(request: web.Request) -> web.Response:
    """For a link that opens nothing: says so kindly, and what to do."""
    return page(request, "not_found.html", 404, what="lesson" if request.path.startswith("/l/") else "class")


async def class_of(request: web.Request) -> SchoolClass:
    """The class whose link is in the path. Raises 404."""
    link = request.match_info["link"]
    if not is_link(link):
        raise web.HTTPNotFound(text="no class has this link")
    register = await request.app[RELAY].registers.current()
    found = register.class_by_link(link)
    if found is None:
        raise web.HTTPNotFound(text="no class has this link")
    return found


def language_of(accept_language: str) -> Language:
    """Russian or English, whichever an Accept-Language header likes better (RFC 9110 §12.5.4)."""
    best: tuple[float, Language] = (0.0, DEFAULT_LANGUAGE)
    for part in accept_language.split(","):
        name, _, parameters = part.strip().partition(";")
        language = name.split("-")[0].lower()
        quality = _quality(parameters)
        if language == "ru" and quality > best[0]:
            best = (quality, "ru")
        elif language == "en" and quality > best[0]:
            best = (quality, "en")
    return best[1]


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def page(request: web.Request, name: str, status: int, **values: str | bool) -> web.Response:
    """A template of ``pages/``, in the reader's language."""
    language = language_of(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))
    text = request.app[TEMPLATES].get_template(name).render(lang=language, **values)
    headers = {"Content-Language": language, "Vary": "Accept-Language", "X-Robots-Tag": "noindex"}
    return web.Response(status=status, text=text, content_type="text/html", charset="utf-8", headers=headers)
