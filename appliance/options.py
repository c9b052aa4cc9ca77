"""The words and options of ``parta-kit``. Not here: what they do (``cli.py``, ``commands/``)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

DEFAULT_CONFIG = Path("/etc/parta/kit.toml")
BOOT_FILE = Path("/boot/firmware/parta.toml")
LOOK_S = 3.0
#: A Pi is ready within a minute; a network that comes late, or a relay that restarts, has the rest.
TRIAL_S = 300.0

Parser = argparse.ArgumentParser
Parents = Sequence[Parser]
Commands = argparse._SubParsersAction  # noqa: SLF001  # argparse has no public name for it


def parser(version: str) -> Parser:
    """The whole command line."""
    root = Parser(
        prog="parta-kit",
        description="The box in the classroom: one button, and the lesson is live for the pupils at home.",
        epilog="Exit codes: 0 done, stopped or switched off, 1 failed, 2 cannot start until you change something; "
        "the last line says what.",
        parents=[_config(DEFAULT_CONFIG)],
    )
    root.add_argument("--version", action="version", version=f"parta-kit {version}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    config = [_config(argparse.SUPPRESS)]  # before the command or after it; after it, silence leaves the former
    commands.add_parser(
        "run",
        parents=config,
        help="run the kit until it is switched off or told to stop (Ctrl-C, SIGTERM)",
        description="Run the kit. A lesson that goes on when it is told to stop is ended first.",
    )
    commands.add_parser(
        "check",
        parents=config,
        help="read the settings, say whether they are good, and do nothing else",
        description="Read the settings and say whether they are good. Opens no device and asks no relay.",
    )
    commands.add_parser(
        "lamps-off",
        parents=config,
        help="put out lamps that a kit which died may have left lit",
        description="Put out every lamp and the buzzer. For the service manager, after a kit has ended, however it "
        "ended: Raspberry Pi's kernels leave the pins of a dead program as they were. Does nothing for a panel without "
        "pins.",
    )
    _discover(commands)
    _enrol(commands, config)
    _doctor(commands, config)
    _apply_boot_file(commands, config)
    _enrol_files(commands)
    _update(commands, config)
    commands.add_parser(
        "setup-pin",
        parents=config,
        help="make a new PIN for the kit's setup page, and show it",
        description="Make a new PIN for the kit's setup page, and show it. The one before, and whoever is in with it, "
        "is out at once. A PIN that is forgotten cannot be shown again: the kit keeps no more than a hash of it.",
    )
    return root


def _config(default: Path | str) -> Parser:
    common = Parser(add_help=False)
    common.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=default,
        help=f"the kit's settings (default: {DEFAULT_CONFIG}); config/kit.toml explains every key",
    )
    return common


def _json(command: Parser) -> None:
    command.add_argument("--json", action="store_true", help="answer in JSON, for scripts")


def _discover(commands: Commands[Parser]) -> None:
    discover = commands.add_parser(
        "discover",
        help="list the kits and relays on the local network",
        description="List the kits and relays that announce themselves on the local network. Needs no settings, and "
        "works on any computer there.",
    )
    _json(discover)
    discover.add_argument(
        "--seconds", type=_seconds, default=LOOK_S, metavar="N", help=f"how long to look ({LOOK_S:g})"
    )


def _enrol(commands: Commands[Parser], config: Parents) -> None:
    enrol = commands.add_parser(
        "enrol",
        parents=config,
        help="make this kit known to a relay, with a code",
        description="Make this kit known to a relay, with a code of `parta-relay kit enrol-code`. The relay is the one "
        "of the settings, or the one that --relay names; that one is kept.",
    )
    _json(enrol)
    enrol.add_argument("code", metavar="CODE", help="good once, and for a day unless the relay was told otherwise")
    enrol.add_argument("--relay", metavar="URL", help='for example "https://parta.school.example"')


def _doctor(commands: Commands[Parser], config: Parents) -> None:
    doctor = commands.add_parser(
        "doctor",
        parents=config,
        help="check everything that a lesson needs, and say what to do about what fails",
        description="Check relay, network, clock, storage, camera and microphone. Up to 1.4 MB go to the relay to time "
        "the up-link; camera and microphone open for a few seconds, with the tally lit. Exit codes: 0 everything is "
        "OK, 1 something is not, 2 the settings are wrong.",
    )
    _json(doctor)
    doctor.add_argument("--no-capture", dest="capture", action="store_false", help="leave camera and microphone alone")


def _apply_boot_file(commands: Commands[Parser], config: Parents) -> None:
    apply = commands.add_parser(
        "apply-boot-file",
        parents=config,
        help="take over what parta.toml on the card says (run as root, before the kit starts)",
        description="Take over what parta.toml on the card says: all of it, or, when anything in it is wrong, nothing; "
        "parta-error.txt beside it then says what. Codes and keys are removed from the card once they are applied.",
    )
    apply.add_argument("--file", type=Path, metavar="FILE", default=BOOT_FILE, help=f"default: {BOOT_FILE}")
    apply.add_argument(
        "--root", type=Path, metavar="DIR", default=Path("/"), help="the system to write to (default: /)"
    )


def _enrol_files(commands: Commands[Parser]) -> None:
    files = commands.add_parser(
        "enrol-files",
        help="make one parta.toml per room from a table",
        description="Make one parta.toml per room from a CSV table, and boxes.html, a sheet to print for their boxes. "
        "Nothing is written unless every row is right. Columns: room, relay, code (wanted), class, host_name, "
        "time_zone, setup_pin, proxy, ca_file, wifi_ssid, wifi_security (psk, eap, open), wifi_psk, wifi_identity, "
        "wifi_password, wifi_ca_file, address, gateway, dns, ntp, ssh_keys (each on a line of the cell), class_link "
        "(on the sheet, as a QR code).",
    )
    files.add_argument("rooms", type=Path, metavar="ROOMS.CSV", help="UTF-8; columns parted by , or ;")
    files.add_argument("--out", type=Path, metavar="DIR", required=True, help="where the rooms' folders are made")


def _update(commands: Commands[Parser], config: Parents) -> None:
    update = commands.add_parser(
        "update",
        help="tell which version of the image runs, install another, or go back (run as root)",
        description="Updates of a kit whose card has two slots. A new version is written to the other slot and tried: "
        "when the service is ready, the camera is seen and the relay is reached, it stays; otherwise the kit goes back "
        "by itself. Lessons, key and settings are the same in both.",
    )
    what = update.add_subparsers(dest="what", required=True, metavar="WHAT")
    status = what.add_parser("status", parents=config, help="what runs, what else is there, how the last update went")
    _json(status)
    check = what.add_parser("check", parents=config, help="ask the channel for a newer version")
    _json(check)
    install = what.add_parser(
        "install",
        parents=config,
        help="install a version, and restart into it",
        description="Install a bundle: a file (of a USB stick, say), an https:// address, or, when none is named, the "
        "version that the channel announces. It is checked before anything is written. Refused during a lesson.",
    )
    install.add_argument("source", metavar="FILE|URL", nargs="?", default=None)
    install.add_argument(
        "--if-newer",
        action="store_true",
        help="what the service manager says at night: install what update.channel announces, if it is newer and was "
        "not given up before; otherwise, or where no channel is set, do nothing",
    )
    back = what.add_parser("rollback", parents=config, help="go back to the version in the other slot")
    for command in (check, install):
        command.add_argument("--channel", metavar="URL", default="", help="a channel file other than update.channel")
    for command in (install, back):
        command.add_argument("--no-restart", dest="restart", action="store_false", help="leave the restart to you")
    stick = what.add_parser("stick", parents=config, help="for the service manager: install from a USB stick")
    stick.add_argument("device", metavar="DEVICE", type=Path)
    trial = what.add_parser("trial", parents=config, help="for the service manager: judge a version that has started")
    trial.add_argument("--within", type=float, metavar="S", default=TRIAL_S, help=f"seconds that it has ({TRIAL_S:g})")


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number <= 300:
        raise argparse.ArgumentTypeError("has to be above 0, and 300 at most")
    return number
