"""The kit's key and credentials: made once, kept whole, private, and honest about damage."""

from __future__ import annotations

import base64
import json
import os
import stat
from email.utils import formatdate
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from appliance.errors import KitError, StateUnusable
from appliance.identity import CREDENTIALS_FILE, KEY_FILE, Authoriser, Credentials, Identity
from wire import token

NOW = 1_788_249_600
CREDENTIALS = Credentials(
    relay_url="http://127.0.0.1:8080",
    kit_id="ab" * 16,
    relay_id="ef" * 16,
    school="Средняя школа № 5",
    room="Кабинет 12",
    class_name="7Б",
    class_path="/c/AAAAAAAAAAAAAAAAAAAAAA",
)


def _check(identity: Identity, text: str, *, now: int = NOW, method: str = "GET", path: str = "/control") -> str:
    key = identity.private_key.public_key()
    return token.check(text, key, relay_id=CREDENTIALS.relay_id, method=method, path=path, now_unix_s=now).kit_id


def test_the_key_is_made_at_the_first_start_and_stays(tmp_path: Path) -> None:
    first = Identity.load_or_create(tmp_path / "state")
    again = Identity.load_or_create(tmp_path / "state")
    assert first.public_key == again.public_key
    assert Identity.load_or_create(tmp_path / "other").public_key != first.public_key


def test_the_public_key_is_32_raw_bytes_as_the_protocol_says(tmp_path: Path) -> None:
    identity = Identity.load_or_create(tmp_path)
    raw = base64.urlsafe_b64decode(identity.public_key + "=")
    assert Ed25519PublicKey.from_public_bytes(raw) == identity.private_key.public_key()
    assert "=" not in identity.public_key


def test_only_the_owner_can_read_what_is_kept(tmp_path: Path) -> None:
    Identity.load_or_create(tmp_path / "state")
    CREDENTIALS.save(tmp_path / "state")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    assert modes == {KEY_FILE: 0o600, CREDENTIALS_FILE: 0o600}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_second_process_that_makes_the_key_at_the_same_time_takes_the_first_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = Path.hardlink_to
    winners: list[Identity] = []

    def lose_the_race(path: Path, draft: Path) -> None:
        monkeypatch.setattr(Path, "hardlink_to", link)
        winners.append(Identity.load_or_create(tmp_path))
        link(path, draft)

    monkeypatch.setattr(Path, "hardlink_to", lose_the_race)
    assert Identity.load_or_create(tmp_path).public_key == winners[0].public_key
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_a_power_cut_while_writing_leaves_the_old_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    CREDENTIALS.save(tmp_path)

    def cut(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", cut)
    with pytest.raises(StateUnusable, match=r"cannot be written .*kit\.state_dir"):
        msgspec.structs.replace(CREDENTIALS, room="Кабинет 13").save(tmp_path)
    assert Credentials.load(tmp_path) == CREDENTIALS
    assert [path.name for path in tmp_path.iterdir()] == [CREDENTIALS_FILE]


@pytest.mark.parametrize("content", [b"", b"not a key", b"\x00" * 119])
def test_a_damaged_key_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / KEY_FILE).write_bytes(content)
    with pytest.raises(StateUnusable, match=r"kit\.key: not a private key; restore it, or delete it and enrol"):
        Identity.load_or_create(tmp_path)
    assert (tmp_path / KEY_FILE).read_bytes() == content


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / KEY_FILE).write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(StateUnusable, match="not an Ed25519 key"):
        Identity.load_or_create(tmp_path)


def test_a_state_folder_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(KitError, match=r"file/kit\.key: cannot be read .*kit\.state_dir"):
        Identity.load_or_create(tmp_path / "file")
    (tmp_path / CREDENTIALS_FILE).mkdir()
    with pytest.raises(KitError, match="cannot be read"):
        Credentials.load(tmp_path)


def test_credentials_are_kept_and_replaced(tmp_path: Path) -> None:
    assert Credentials.load(tmp_path) is None
    CREDENTIALS.save(tmp_path)
    moved = msgspec.structs.replace(CREDENTIALS, room="Кабинет 13")
    moved.save(tmp_path)
    assert Credentials.load(tmp_path) == moved


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"relay_url": 5}', json.dumps(msgspec.to_builtins(CREDENTIALS) | {"extra": 1}), "\ud83d"],
    ids=["empty", "no fields", "not an object", "wrong type", "unknown field", "not UTF-8"],
)
def test_damaged_credentials_say_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / CREDENTIALS_FILE).write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(StateUnusable, match=r"credentials\.json: damaged .*enrol this kit again"):
        Credentials.load(tmp_path)


def test_the_authoriser_signs_for_one_request(tmp_path: Path) -> None:
    identity = Identity.load_or_create(tmp_path)
    authoriser = Authoriser(identity, CREDENTIALS, unix_s=lambda: NOW + 0.9)
    text = authoriser.authorise("POST", "/whip", "01" * 16)
    assert _check(identity, text, method="POST", path="/whip") == CREDENTIALS.kit_id
    with pytest.raises(token.TokenError, match="another request"):
        _check(identity, text)
    assert text != authoriser.authorise("POST", "/whip", "01" * 16)


def test_a_kit_without_a_clock_takes_the_relays(tmp_path: Path) -> None:
    identity = Identity.load_or_create(tmp_path)
    authoriser = Authoriser(identity, CREDENTIALS, unix_s=lambda: 3600.0)  # 1970: no clock battery
    with pytest.raises(token.TokenError, match="expired"):
        _check(identity, authoriser.authorise("GET", "/control"))
    assert authoriser.learn_time(formatdate(NOW, usegmt=True))
    assert _check(identity, authoriser.authorise("GET", "/control")) == CREDENTIALS.kit_id
    assert not authoriser.learn_time(formatdate(NOW, usegmt=True)), "nothing new: a retry would be refused again"


@pytest.mark.parametrize(
    "date", ["", "yesterday", "Tue, 99 Sep 2026 00:00:00 GMT", "Tue, 01 Sep 99999999 00:00:00 GMT"]
)
def test_a_date_that_is_none_changes_nothing(tmp_path: Path, date: str) -> None:
    authoriser = Authoriser(Identity.load_or_create(tmp_path), CREDENTIALS, unix_s=lambda: float(NOW))
    assert not authoriser.learn_time(date)
