"""Links, codes and stream keys: unguessable, easy to type, and kept as digests."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from relay.classroom import links


def test_a_class_link_has_128_random_bits_in_22_characters() -> None:
    made = {links.new_link() for _ in range(200)}
    assert len(made) == 200
    assert all(links.is_link(link) and len(base64.urlsafe_b64decode(link + "==")) == 16 for link in made)


def test_an_enrol_code_survives_how_people_type_it() -> None:
    code = links.new_code()
    plain = code.replace("-", "")
    for typed in (code, plain, code.lower(), f" {code} ", plain[:4] + " " + plain[4:], code.replace("-", "–")):
        assert links.plain_code(typed) == plain


@given(st.text(max_size=30))
def test_whatever_is_typed_is_a_code_or_none(typed: str) -> None:
    plain = links.plain_code(typed)
    assert plain is None or (len(plain) == links.CODE_LENGTH and set(plain) <= set(links.CODE_ALPHABET))


def test_codes_avoid_letters_that_look_alike() -> None:
    assert not set(links.CODE_ALPHABET) & set("01OIL")


def test_a_code_is_kept_as_a_digest_that_is_this_relays_own() -> None:
    digest = links.code_digest("ABCDEFGH", "a" * 32)
    assert "ABCDEFGH" not in digest
    assert digest != links.code_digest("ABCDEFGH", "b" * 32)


def test_a_stream_key_has_256_random_bits() -> None:
    key = links.new_stream_key()
    assert len(base64.urlsafe_b64decode(key.removeprefix("parta_") + "=")) == 32
    assert links.stream_key_digest(key) != links.stream_key_digest(links.new_stream_key())
