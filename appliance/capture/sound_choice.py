"""Which sound card is the lesson's microphone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from appliance.capture.sound_card import CardInfo

ANY_USB = ""  # the kernel calls every USB microphone's device "USB Audio", whatever its maker calls the card


def matches(pattern: str, name: str) -> bool:
    """Whether a card of that name is meant: the pattern is a part of it, capitals aside; ``*`` and ``?`` are open."""
    return fnmatchcase(name.lower(), f"*{pattern.lower() or 'usb'}*")


def candidates(cards: Iterable[CardInfo], wanted: Sequence[str]) -> list[CardInfo]:
    """The cards to try, best first: all that the first pattern means, then the second's."""
    listed = list(cards)
    return list(dict.fromkeys(card for pattern in wanted for card in listed if matches(pattern, card.name)))


def is_first_choice(card: CardInfo, wanted: Sequence[str]) -> bool:
    """Whether nothing better could turn up."""
    return matches(wanted[0], card.name)


def nothing_found(cards: Iterable[CardInfo], wanted: Sequence[str]) -> str:
    """One line for a person."""
    names = ", ".join(card.name for card in cards) or "none at all"
    asked = " or ".join(f'"{pattern}"' if pattern else "a USB microphone" for pattern in wanted)
    return f"no sound card is {asked} (there is: {names}); plug it in, or set microphone.device"
