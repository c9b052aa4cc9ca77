"""The private names of aiortc and aioice that ``peer.py`` leans on: this fails, by name, when one of them moves.

The libraries are pinned, so that happens when somebody raises the pin. Each name here says what breaks without it; the
behaviour itself is proved in ``test_session.py``.
"""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import tomllib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aioice
import pytest
from aioice import ice, stun
from aiortc import RTCConfiguration, RTCPeerConnection, rtcdtlstransport, rtcicetransport, rtcrtpsender

ROOT = Path(__file__).parents[3]


@pytest.fixture
async def peer() -> AsyncIterator[RTCPeerConnection]:
    made = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    made.addTransceiver("video", direction="sendonly")
    yield made
    await made.close()


def _source(function: Callable[..., Any]) -> str:
    return inspect.getsource(function)


@pytest.mark.parametrize("library", ["aiortc", "aioice"])
def test_the_libraries_are_the_ones_that_were_read(library: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"{library}=={importlib.metadata.version(library)}" in project["optional-dependencies"]["kit"]


async def test_the_way_from_a_sender_to_its_sockets(peer: RTCPeerConnection) -> None:
    (sender,) = peer.getSenders()
    assert isinstance(sender._ssrc, int)
    dtls = sender.transport
    assert inspect.iscoroutinefunction(dtls._send_rtp)
    assert inspect.iscoroutinefunction(dtls._handle_rtcp_data)
    connection = dtls.transport._connection
    assert isinstance(connection, aioice.Connection)
    assert (connection._protocols, connection._nominated) == ([], {})
    assert (connection._closing, connection._closed, connection._query_consent_task) == (False, False, None)


def test_everything_that_is_sent_goes_by_the_name_that_is_replaced() -> None:
    """On the instance, looked up at each call: a reference kept elsewhere would pass the pacer by."""
    for function in (rtcrtpsender.RTCRtpSender._run_rtp, rtcrtpsender.RTCRtpSender._retransmit):
        assert "await self.transport._send_rtp(packet_bytes)" in _source(function)
    assert "await self.transport._send_rtp(payload)" in _source(rtcrtpsender.RTCRtpSender._send_rtcp)


def test_everything_that_is_received_goes_by_the_names_that_are_replaced() -> None:
    assert "await self._handle_rtcp_data(data)" in _source(rtcdtlstransport.RTCDtlsTransport._recv_next)
    assert "self.receiver.data_received(data, self.local_candidate.component)" in _source(
        ice.StunProtocol.datagram_received
    )


def test_gathering_and_connecting_go_by_the_names_that_are_replaced() -> None:
    assert "self.get_component_candidates(component=component, addresses=addresses)" in _source(
        ice.Connection.gather_candidates
    )
    assert "await self._connection.connect()" in _source(rtcicetransport.RTCIceTransport.start)
    assert "self.sort_check_list()" in _source(ice.Connection.connect)
    assert "for pair in self._check_list:" in _source(ice.Connection._check_periodic)
    assert "self._query_consent_task = asyncio.create_task(self.query_consent())" in _source(ice.Connection.connect)


def test_the_history_of_sent_packets_is_as_long_as_the_modules_constant() -> None:
    assert "packet.sequence_number % RTP_HISTORY_SIZE" in _source(rtcrtpsender.RTCRtpSender._run_rtp)
    assert "sequence_number % RTP_HISTORY_SIZE" in _source(rtcrtpsender.RTCRtpSender._retransmit)
    assert hasattr(rtcrtpsender, "RTP_HISTORY_SIZE")


def test_a_track_is_whatever_has_the_four_names() -> None:
    replace, following = (
        _source(getattr(rtcrtpsender.RTCRtpSender, name)) for name in ("replaceTrack", "_next_encoded_frame")
    )
    assert "isinstance" not in replace
    assert "await self.__track.recv()" in following
    assert "self.__encoder.pack(data)" in following


def test_probes_stand_where_transactions_are_kept() -> None:
    received = _source(ice.StunProtocol.datagram_received)
    assert "transaction = self.transactions[message.transaction_id]" in received
    assert "transaction.response_received(message, addr)" in received
    assert list(inspect.signature(ice.StunProtocol.send_stun).parameters) == ["self", "message", "addr"]
    assert list(inspect.signature(ice.Connection.build_request).parameters) == ["self", "pair", "nominate"]
    assert stun.Class.RESPONSE.name == "RESPONSE"


def test_only_the_adapter_knows_aiortc() -> None:
    """And only inside functions, so that the kit imports on a machine without it."""
    for path in sorted((ROOT / "appliance").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        at_import = {node for top in tree.body if not _is_for_types(top) for node in _outside_functions(top)}
        for node in ast.walk(tree):
            if {name.partition(".")[0] for name in _imported(node)} & {"aiortc", "aioice"}:
                assert path.name == "peer.py", path
                assert node not in at_import, f"{path}:{getattr(node, 'lineno', 0)}"


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def _is_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _outside_functions(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return []
    return [node, *(inner for child in ast.iter_child_nodes(node) for inner in _outside_functions(child))]
