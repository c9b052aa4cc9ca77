"""How long silence is believed."""

from __future__ import annotations

from appliance.stream.liveness import LIVENESS_S, PROBE_EVERY_S, SUSPECT_S, Liveness


def test_a_session_dies_of_silence_and_any_sign_keeps_it() -> None:
    liveness = Liveness(10.0, liveness_s=4.0)
    assert liveness.dies_s == 14.0
    liveness.heard(12.5)
    assert liveness.dies_s == 16.5


def test_doubt_shortens_it_and_a_sign_ends_the_doubt() -> None:
    liveness = Liveness(10.0, liveness_s=4.0, suspect_s=1.0)
    liveness.suspect(11.0)
    liveness.suspect(11.9)
    assert (liveness.dies_s, liveness.suspected) == (12.0, True)
    liveness.heard(11.95)
    assert (liveness.dies_s, liveness.suspected) == (15.95, False)


def test_doubt_never_lengthens_it() -> None:
    liveness = Liveness(10.0, liveness_s=4.0, suspect_s=1.0)
    liveness.suspect(13.8)
    assert liveness.dies_s == 14.0


def test_the_watchdog_is_the_one_that_was_promised() -> None:
    assert 3.0 <= LIVENESS_S <= 5.0
    assert LIVENESS_S / PROBE_EVERY_S >= 3
    assert LIVENESS_S > SUSPECT_S
