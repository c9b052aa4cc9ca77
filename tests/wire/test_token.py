"""The kit's token: one request, one relay, one minute, one key; everything else is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from wire import token
from wire.token import CLOCK_SKEW_S, TOKEN_LIFETIME_S, KitClaims, TokenError

KEY = Ed25519PrivateKey.generate()
KIT_ID = "ab" * 16
OTHER_KIT_ID = "cd" * 16
RELAY_ID = "ef" * 16
LESSON_ID = "01" * 16
NOW = 1_788_249_600


def _mint(**changes: Any) -> str:
    asked: dict[str, Any] = {
        "kit_id": KIT_ID,
        "relay_id": RELAY_ID,
        "method": "POST",
        "path": "/whip",
        "now_unix_s": NOW,
        "lesson_id": LESSON_ID,
    }
    return token.mint(KEY, **(asked | changes))


def _check(text: str, **changes: Any) -> KitClaims:
    asked: dict[str, Any] = {"relay_id": RELAY_ID, "method": "POST", "path": "/whip", "now_unix_s": NOW}
    return token.check(text, changes.pop("key", KEY.public_key()), **(asked | changes))


def _signed(claims_changes: dict[str, Any], *, kid: str = KIT_ID) -> str:
    """A token that the kit's own key signed, but that ``mint`` would never make."""
    claims = jwt.decode(_mint(), options={"verify_signature": False}) | claims_changes
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, KEY, algorithm="EdDSA", headers={"kid": kid})


def _encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def test_a_fresh_token_holds_for_its_request() -> None:
    text = _mint()
    claims = _check(text)
    assert (claims.kit_id, claims.lesson_id) == (KIT_ID, LESSON_ID)
    assert claims.expires_unix_s == NOW + TOKEN_LIFETIME_S
    assert token.kit_id_of(text) == KIT_ID


def test_no_two_tokens_share_an_id() -> None:
    ids = {_check(_mint()).token_id for _ in range(50)}
    assert len(ids) == 50


def test_a_token_without_a_lesson_says_so() -> None:
    assert _check(_mint(lesson_id=None)).lesson_id is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"now_unix_s": NOW + TOKEN_LIFETIME_S + CLOCK_SKEW_S + 1}, "token has expired"),
        ({"now_unix_s": NOW - CLOCK_SKEW_S - 1}, "token is from the future"),
        ({"path": "/whip/other"}, "token is for another request"),
        ({"method": "DELETE"}, "token is for another request"),
        ({"relay_id": "00" * 16}, "token is for another relay"),
        ({"key": Ed25519PrivateKey.generate().public_key()}, "token does not verify"),
    ],
    ids=["expired", "future", "path", "method", "audience", "key"],
)
def test_a_token_for_anything_else_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(TokenError, match=reason):
        _check(_mint(), **changes)


@pytest.mark.parametrize("now", [NOW - CLOCK_SKEW_S, NOW, NOW + TOKEN_LIFETIME_S + CLOCK_SKEW_S])
def test_clocks_may_differ_a_little(now: int) -> None:
    assert _check(_mint(), now_unix_s=now).kit_id == KIT_ID


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": NOW + TOKEN_LIFETIME_S + 1}, "token lives too long"),
        ({"iat": NOW - 3600, "exp": NOW + 10}, "token lives too long"),
        ({"exp": str(NOW + 30)}, "token does not verify|malformed token"),
        ({"exp": NOW + 0.5}, "malformed token"),
        ({"les": "../../etc"}, "malformed token"),
        ({"les": 7}, "malformed token"),
        ({"iss": OTHER_KIT_ID}, "token is for another kit"),
    ]
    + [({name: None}, "token does not verify") for name in ("iss", "aud", "iat", "exp", "jti", "mth", "pth")],
    ids=str,
)
def test_a_kit_cannot_sign_itself_more_than_it_may(claims: dict[str, Any], reason: str) -> None:
    with pytest.raises(TokenError, match=reason):
        _check(_signed(claims))


def test_a_kit_cannot_speak_for_another_kit_whose_key_it_lacks() -> None:
    """Found by ``kid`` and checked with this kit's key, a token must not name another kit as its issuer."""
    with pytest.raises(TokenError, match="another kit"):
        _check(_signed({"iss": OTHER_KIT_ID}, kid=KIT_ID))


def test_an_unsigned_token_is_refused() -> None:
    header, claims, _ = _mint().split(".")
    unsigned = f"{_encoded({'alg': 'none', 'typ': 'JWT', 'kid': KIT_ID})}.{claims}."
    for text in (unsigned, f"{header}.{claims}.", f"{header}.{claims}"):
        with pytest.raises(TokenError, match="token does not verify"):
            _check(text)


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("form", ["raw", "pem"])
def test_a_public_key_is_no_shared_secret(form: str) -> None:
    public = KEY.public_key()
    secret = (
        public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        if form == "raw"
        else public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    header = _encoded({"alg": "HS256", "typ": "JWT", "kid": KIT_ID})
    claims = _mint().split(".")[1]
    forged = f"{header}.{claims}.{_hs256(secret, f'{header}.{claims}')}"
    with pytest.raises(TokenError, match="token does not verify"):
        _check(forged)


def _hs256(secret: bytes, signed: str) -> str:
    import hashlib
    import hmac

    digest = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@given(st.data())
def test_a_token_with_one_character_changed_is_refused(data: st.DataObject) -> None:
    text = _mint()
    # The signature's last character has unused bits, so that changing it may change nothing.
    at = data.draw(st.integers(0, len(text) - 2))
    put = data.draw(st.sampled_from("ABab01-_.").filter(lambda character: character != text[at]))
    with pytest.raises(TokenError):
        _check(text[:at] + put + text[at + 1 :])


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_text_is_refused_as_a_token(text: str) -> None:
    with pytest.raises(TokenError):
        token.kit_id_of(text)
    with pytest.raises(TokenError):
        _check(text)


@pytest.mark.parametrize("kid", [None, 5, "", "AB" * 16, "ab" * 15, "../kit", "ab" * 16 + "\n"])
def test_a_kit_id_of_another_form_is_refused_before_any_key_is_looked_up(kid: object) -> None:
    header: dict[str, Any] = {"alg": "EdDSA", "typ": "JWT"} | ({} if kid is None else {"kid": kid})
    with pytest.raises(TokenError, match="malformed token"):
        token.kit_id_of(f"{_encoded(header)}.{_encoded({})}.AAAA")
