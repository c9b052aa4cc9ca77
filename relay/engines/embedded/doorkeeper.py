"""What the kernel turns away at the UDP port before this process wakes up: binding requests for users we never named.

A classic BPF program on the socket (``SO_ATTACH_FILTER``, which needs no rights). Every user fragment that this
process gives begins with the same four characters (``ice.HOUSE``); a request whose USERNAME does not, or that has none
among its first attributes, is from somebody who never got an answer from us. To find that out up here took 16 µs of CPU
a request: 50,000 a second took most of a core, and filled the socket's buffer besides. It is relief, no lock: the four
characters are in every answer, and whatever passes is checked as if there were no filter.
"""

from __future__ import annotations

import ctypes
import socket
import struct

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h; Python's socket module names neither
_SO_MEMINFO, _MEMINFO_DROPS, _MEMINFO_BYTES = 55, 8, 36
_UDP_HEADER = 8  # a UDP socket's filter sees it before the payload, over IPv4 as over IPv6
_STUN_HEADER = 20
_COOKIE, _USERNAME, _BINDING_REQUEST = 0x2112A442, 0x0006, 0x0001  # RFC 8489
_ATTRIBUTES = 8  # looked at for the USERNAME, which every ICE agent that we know puts first
_ALL = 0xFFFF

# linux/bpf_common.h: a class, a size or an operation, and an addressing mode, added up.
_LOAD_BYTE, _LOAD_HALF, _LOAD_WORD = 0x30, 0x28, 0x20
_LOAD_HALF_AT_X, _LOAD_WORD_AT_X = 0x48, 0x40
_ADD, _AND, _ADD_X, _TO_X, _SET_X = 0x04, 0x54, 0x0C, 0x07, 0x01
_IF_EQUAL, _IF_GREATER, _RETURN = 0x15, 0x25, 0x06


def program(house: str) -> bytes:
    """The filter for user fragments that begin with ``house`` (four characters), as ``struct sock_filter[]``.

    A load beyond the datagram's end drops it, as the kernel defines it.
    """
    wanted = int.from_bytes(house.encode("ascii"), "big")
    at = _UDP_HEADER
    steps: list[tuple[int, int, str, str]] = [  # code, operand, where to if it holds, where to if not
        (_LOAD_BYTE, at, "", ""),
        (_IF_GREATER, 3, "take", ""),  # RFC 7983: no STUN
        (_LOAD_HALF, at, "", ""),
        (_IF_EQUAL, _BINDING_REQUEST, "", "take"),
        (_LOAD_WORD, at + 4, "", ""),
        (_IF_EQUAL, _COOKIE, "", "drop"),
        (_SET_X, at + _STUN_HEADER, "", ""),
    ]
    for _ in range(_ATTRIBUTES):
        steps += [
            (_LOAD_HALF_AT_X, 0, "", ""),
            (_IF_EQUAL, _USERNAME, "user", ""),
            (_LOAD_HALF_AT_X, 2, "", ""),
            (_ADD, 3 + 4, "", ""),  # up to a multiple of four, and the attribute's own header
            (_AND, 0xFFFFFFFC, "", ""),
            (_ADD_X, 0, "", ""),
            (_TO_X, 0, "", ""),
        ]
    labels = {"drop": len(steps), "user": len(steps) + 1, "take": len(steps) + 3}
    steps += [
        (_RETURN, 0, "", ""),
        (_LOAD_WORD_AT_X, 4, "", ""),
        (_IF_EQUAL, wanted, "take", "refuse"),
        (_RETURN, _ALL, "", ""),
        (_RETURN, 0, "", ""),
    ]
    labels["refuse"] = len(steps) - 1  # jumps lead forwards only
    compiled = b""
    for number, (code, operand, holds, fails) in enumerate(steps):
        over = [labels[name] - number - 1 if name else 0 for name in (holds, fails)]
        compiled += struct.pack("=HBBI", code, *over, operand)
    return compiled


def keep_door(sock: socket.socket, house: str) -> bool:
    """Attach the filter. ``False``: this kernel has none, and everything comes in."""
    instructions = program(house)
    held = ctypes.create_string_buffer(instructions, len(instructions))  # alive until the kernel has copied it
    try:
        sock.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(instructions) // 8, ctypes.addressof(held))
        )
    except OSError:
        return False
    return True


def turned_away(sock: socket.socket) -> int:
    """How many datagrams the kernel did not hand over, for this filter or because the buffer was full."""
    try:
        told = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO_BYTES)
    except OSError:
        return 0
    return int(struct.unpack_from("=I", told, 4 * _MEMINFO_DROPS)[0]) if len(told) >= _MEMINFO_BYTES else 0
