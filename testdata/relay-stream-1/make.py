#!/usr/bin/env python3
"""Writes stream.json: payloads of chained streams, made without any code of Portico (see docs/streams.md)."""
import hashlib
import json


def sha(data):
    return hashlib.sha256(data).digest()


def varint(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, value):
    """A field of a protobuf message; nothing of a default."""
    if isinstance(value, bool) or isinstance(value, int):
        return varint(number << 3) + varint(int(value)) if value else b""
    return varint(number << 3 | 2) + varint(len(value)) + value if value else b""


def message(number, value):
    """A message as a field, also an empty one."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(number, headers):
    entries = b""
    for name, values in sorted(headers.items()):
        header = field(1, name.encode()) + b"".join(field(2, v.encode()) for v in values)
        entries += message(number, field(1, name.encode()) + message(2, header))
    return entries


def stream(name, signature, status, headers, pieces, end, trailers=None):
    previous, payloads, total = sha(b"portico-stream-1" + signature), [], 0
    for index, piece in enumerate(pieces + [None]):
        payload = field(1, previous) + field(2, index)
        if index == 0:
            payload += message(3, field(1, status) + fields(2, headers))
        if piece is None:
            ended = field(1, end is None) + field(2, (end or "").encode()) + field(3, total)
            payload += message(5, ended + fields(4, trailers or {}))
        else:
            payload += field(4, piece)
            total += len(piece)
        payloads.append(payload)
        previous = sha(payload)
    return {
        "name": name,
        "request_signature": signature.hex(),
        "status": status,
        "headers": headers,
        "pieces": [piece.hex() for piece in pieces],
        "cut": end,
        "trailers": trailers or {},
        "payloads": [payload.hex() for payload in payloads],
        "leaf_payload_hash": previous.hex(),
    }


SSE = {"Content-Type": ["text/event-stream"], "Cache-Control": ["no-cache"]}
streams = [
    stream("events", bytes(range(199)), 200, SSE, [b"data: 1\n\n", b"data: 2\n\ndata: 3\n\n"], None),
    stream("empty", b"\x01" * 199, 200, {"Content-Type": ["application/x-ndjson"]}, [], None),
    stream("late first event", b"\x02" * 199, 201, SSE, [b"", b"data: 1\n\n"], None),
    stream("the other framing's delimiter", b"\x03" * 199, 200, SSE, [b"data: ||POKT_STREAM||\n\n"], None),
    stream(
        "messages of gRPC",
        b"\x05" * 199,
        200,
        {"Content-Type": ["application/grpc"]},
        [b"\0\0\0\0\x03one", b"\0\0\0\0\x03two"],
        None,
        {"Grpc-Message": ["fine"], "Grpc-Status": ["0"]},
    ),
    stream("cut", b"\x04" * 199, 200, SSE, [b"data: 1\n\n", b"data: 2"], "backend"),
]
with open("stream.json", "w", encoding="utf-8") as out:
    json.dump({"seed": b"portico-stream-1".hex(), "streams": streams}, out, indent=1)
    out.write("\n")
