"""The words and options of ``parta-relay``. Not here: what they do (``cli.py``, ``commands.py``)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

DEFAULT_CONFIG = Path("/etc/parta/relay.toml")
CODE_HOURS = 24.0
STREAM_KEY_DAYS = 90.0
LESSONS_LISTED = 20
LESSON_LINK_DAYS = 7.0

Parser = argparse.ArgumentParser
Parents = Sequence[Parser]


def parser(version: str) -> Parser:
    """The whole command line."""
    config = _config(argparse.SUPPRESS)  # before the command or after it; after it, silence leaves the former
    root = Parser(
        prog="parta-relay",
        description="Gives a school's lessons to its absent pupils' browsers.",
        epilog="First steps: school add, class add, kit enrol-code. Commands work beside a running relay. "
        "Exit codes: 0 done or stopped, 1 failed (start it again), 2 cannot until you change something; the last "
        "line says what.",
        parents=[_config(DEFAULT_CONFIG)],
    )
    root.add_argument("--version", action="version", version=f"parta-relay {version}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser(
        "serve",
        parents=[config],
        help="run the relay until it is told to stop (Ctrl-C, SIGTERM)",
        description="Run the relay. Its folder and its database are made when they are missing.",
    )
    commands.add_parser("check", parents=[config], help="read the settings, say whether they are good, and do no more")
    for add in (_schools, _classes, _rooms, _kits, _lessons):
        add(commands, [config, _json()])
    return root


Commands = argparse._SubParsersAction  # noqa: SLF001  # argparse has no public name for it


def _config(default: Path | str) -> Parser:
    common = Parser(add_help=False)
    common.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=default,
        help=f"the relay's settings (default: {DEFAULT_CONFIG}); config/relay.toml explains every key",
    )
    return common


def _json() -> Parser:
    common = Parser(add_help=False)
    common.add_argument("--json", action="store_true", help="answer in JSON, for scripts")
    return common


def _schools(commands: Commands[Parser], common: Parents) -> None:
    actions = _group(commands, "school", "add and list schools")
    add = actions.add_parser("add", parents=common, help="add a school")
    add.add_argument("name", metavar="NAME", help='for example "Школа № 7"')
    actions.add_parser("list", parents=common, help="list the schools")


def _classes(commands: Commands[Parser], common: Parents) -> None:
    actions = _group(commands, "class", "add and list classes; show or change a class's link")
    for action, text in (
        ("add", "add a class, with a fresh link"),
        ("link", "show the link that the class's pupils open"),
        ("rotate-link", "make a fresh link; the old one opens nothing any more"),
    ):
        made = actions.add_parser(action, parents=common, help=text, description=text)
        made.add_argument("name", metavar="CLASS", help="for example 7Б")
        _school_option(made)
    keep = actions.add_parser("keep-days", parents=common, help="say how long the class's recordings are kept")
    keep.add_argument("name", metavar="CLASS", help="for example 7Б")
    keep.add_argument("days", type=_days, metavar="N", help='how many days, or "default": archive.keep_days')
    _school_option(keep)
    actions.add_parser("list", parents=common, help="list the classes")


def _rooms(commands: Commands[Parser], common: Parents) -> None:
    actions = _group(commands, "room", "list rooms; say which class a room teaches")
    actions.add_parser("list", parents=common, help="list the rooms")
    assign = actions.add_parser("assign", parents=common, help="send a room's next lessons to another class")
    assign.add_argument("room", metavar="ROOM")
    assign.add_argument("--class", dest="class_name", metavar="CLASS", required=True, help="whom the room teaches now")
    _school_option(assign)


def _kits(commands: Commands[Parser], common: Parents) -> None:
    actions = _group(commands, "kit", "let kits and foreign publishers in, list them, shut them out")
    code = actions.add_parser("enrol-code", parents=common, help="make a code with which one kit enrols")
    _room_options(code)
    code.add_argument(
        "--hours", type=_positive, default=CODE_HOURS, metavar="N", help=f"how long it holds ({CODE_HOURS:g})"
    )
    key = actions.add_parser("stream-key", parents=common, help="make a key with which OBS or FFmpeg publishes by WHIP")
    _room_options(key)
    key.add_argument(
        "--days", type=_positive, default=STREAM_KEY_DAYS, metavar="N", help=f"how long it holds ({STREAM_KEY_DAYS:g})"
    )
    actions.add_parser("list", parents=common, help="list the kits and stream keys")
    revoke = actions.add_parser("revoke", parents=common, help="shut out a kit or a stream key")
    revoke.add_argument("id", metavar="ID", help="its id, or the start of it")


def _lessons(commands: Commands[Parser], common: Parents) -> None:
    actions = _group(commands, "lesson", "list lessons; end, keep, delete, export one, or give a link to it")
    newest = actions.add_parser("list", parents=common, help="list the newest lessons, running ones first")
    newest.add_argument(
        "--limit", type=int, default=LESSONS_LISTED, metavar="N", help=f"how many at most ({LESSONS_LISTED})"
    )
    end = actions.add_parser("end", parents=common, help="end a lesson that runs; its kit obeys")
    keep = actions.add_parser("keep", parents=common, help="keep a recording until somebody deletes it")
    delete = actions.add_parser("delete", parents=common, help="delete a lesson for good: recording, stills, rows")
    export = actions.add_parser("export", parents=common, help="write a recording into one MP4 file")
    link = actions.add_parser("link", parents=common, help="make a link that opens one lesson, for some days")
    for action in (end, keep, delete, export, link):
        action.add_argument("id", metavar="ID", help="its id, or the start of it")
    keep.add_argument("--undo", action="store_true", help="keep it as long as its class's lessons are")
    delete.add_argument("--yes", action="store_true", help="it is meant")
    export.add_argument("file", metavar="FILE", type=Path, help="a new file, such as lesson.mp4")
    link.add_argument(
        "--days", type=_positive, default=LESSON_LINK_DAYS, metavar="N", help=f"how long ({LESSON_LINK_DAYS:g})"
    )


def _group(commands: Commands[Parser], name: str, text: str) -> Commands[Parser]:
    group = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    return group.add_subparsers(dest="action", required=True, metavar="ACTION")


def _room_options(command: Parser) -> None:
    command.add_argument("--room", required=True, metavar="ROOM", help="where it stands; a new room is made")
    command.add_argument(
        "--class", dest="class_name", metavar="CLASS", help="whom the room teaches (needed for a new room)"
    )
    _school_option(command)


def _school_option(command: Parser) -> None:
    command.add_argument("--school", metavar="NAME", help="which school, when there are several")


def _days(text: str) -> int | None:
    if text == "default":
        return None
    if not 1 <= int(text) <= 3650:
        raise argparse.ArgumentTypeError('has to be 1 to 3650, or "default"')
    return int(text)


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < 100_000:
        raise argparse.ArgumentTypeError("has to be above 0")
    return number
