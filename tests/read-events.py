#!/usr/bin/env python3
"""read-events.py FILE: an event file of TensorBoard as text: step, wall time, then tag=value of each summary.

Framing, CRC-32C and protocol buffers written from their definitions, bit by bit, with nothing in common with the tool.
"""
import struct
import sys


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(data, at):
    x = shift = 0
    while True:
        x |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return x, at


def fields(data):
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            n = {1: 8, 5: 4}.get(key & 7)
            if n is None:
                assert key & 7 == 2
                n, at = varint(data, at)
            value, at = data[at:at + n], at + n
            assert len(value) == n
        yield key >> 3, value


data = open(sys.argv[1], "rb").read()
at = 0
while at < len(data):
    head = data[at:at + 8]
    n = struct.unpack("<Q", head)[0]
    assert struct.unpack("<I", data[at + 8:at + 12])[0] == masked(head)
    event = data[at + 12:at + 12 + n]
    assert struct.unpack("<I", data[at + 12 + n:at + 16 + n])[0] == masked(event)
    at += 16 + n
    out = {"step": 0}
    text = []
    for field, value in fields(event):
        if field == 1:
            out["time"] = struct.unpack("<d", value)[0]
        elif field == 2:
            out["step"] = value
        elif field == 3:
            text.append("version=" + value.decode())
        elif field == 5:
            for _, v in fields(value):
                v = dict(fields(v))
                text.append(f"{v[1].decode()}={struct.unpack('<f', v[2])[0]:.6g}")
    print(out["step"], out["time"], *text)
assert at == len(data)
