"""WebSocket messages, compressed: each refers to nothing before it, and an event for many is packed once.

With a compressor and a decompressor of its own a connection holds 36 KiB for as long as it lasts, and the
length of one message tells of another.  Source: RFC 7692 §7.1.1 (no context takeover), §7.2.3.4 (several
blocks in one message).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.typing import ExtensionParameter

from router.edge.packed_streams import KEPT_BLOCKS_MAX, KEPT_BYTES_MAX, stored

PAYLOAD: Final = '"payload":'
"""What a message says before it is its client's own; what comes after may be many clients' event."""
_PAYLOAD: Final = PAYLOAD.encode()
HEAD_BYTES_MAX: Final = 256
"""Within so many bytes the payload begins, or the message is packed as one."""
_TAIL_BYTES: Final = 4
"""An empty block ends each flush; it is left out.  Source: RFC 7692 §7.2.1."""


class PackedMessages(PerMessageDeflate):
    """The extension as one connection uses it. `bytes_min`: shorter messages leave as they are."""

    def __init__(self, *, bytes_min: int, local_bits: int, remote_bits: int) -> None:
        super().__init__(True, True, remote_bits, local_bits)
        self._bytes_min = bytes_min

    def encode(self, frame: Frame) -> Frame:
        """websockets: one outgoing frame. The server sends each message in one."""
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY) or len(frame.data) < self._bytes_min:
            return frame
        packed = packed_message(bytes(frame.data), self.local_max_window_bits)
        return Frame(frame.opcode, packed, frame.fin, True, frame.rsv2, frame.rsv3)


class PackedMessagesFactory(ServerPerMessageDeflateFactory):
    """Agrees with a client on messages that refer to nothing before them."""

    def __init__(self, *, bytes_min: int) -> None:
        super().__init__(server_no_context_takeover=True, client_no_context_takeover=True)
        self._bytes_min = bytes_min

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], Any]:
        """websockets: one offer of a client.  Errors: NegotiationError where it cannot be agreed to."""
        agreed, extension = super().process_request_params(params, accepted_extensions)
        return agreed, PackedMessages(
            bytes_min=self._bytes_min,
            local_bits=extension.local_max_window_bits,
            remote_bits=extension.remote_max_window_bits,
        )


def packed_message(message: bytes, window_bits: int) -> bytes:
    """The compressed form of one message: its own head as it is, then what others may get as well."""
    if len(message) > KEPT_BYTES_MAX:
        return _block(message, window_bits)
    found = message.find(_PAYLOAD, 0, HEAD_BYTES_MAX)
    if found < 0:
        return _kept(message, window_bits)
    begins = found + len(_PAYLOAD)
    return stored(message[:begins]) + _kept(message[begins:], window_bits)


def _block(text: bytes, window_bits: int) -> bytes:
    packing = zlib.compressobj(level=1, wbits=-window_bits)
    return packing.compress(text) + packing.flush(zlib.Z_SYNC_FLUSH)[:-_TAIL_BYTES]


_kept = lru_cache(maxsize=KEPT_BLOCKS_MAX)(_block)
