"""The way from a password to the volume key, by the published description of the format.

Shares nothing with the program: SHA-256 is Python's, AES is the openssl command's. AES-CCM is taken apart:
its payload is AES in counter mode, and whether the right thing came out shows the header in front of every
key, and the volume key that another program finds.
"""

import hashlib
import struct
import subprocess

ROUNDS = 1 << 20
STRETCHED, WRAPPED, PROTECTOR = 3, 5, 8  # kinds of entries
FULL_VOLUME_KEY = 3                      # what an entry is for
PASSWORD = 0x2000                        # kind of a protector


class NotOpened(AssertionError):
    pass


def entries(data):
    """(purpose, kind, body) of each."""
    at = 0
    while at + 8 <= len(data):
        size, purpose, kind, _ = struct.unpack_from("<HHHH", data, at)
        if size < 8:
            break
        yield purpose, kind, data[at + 8:at + size]
        at += size


def unwrap(key, wrapped):
    """The key inside a wrapped one: nonce of 12 bytes, tag of 16, payload."""
    counter = b"\x02" + wrapped[:12] + bytes(3)
    done = subprocess.run(["openssl", "enc", "-d", "-aes-256-ctr", "-nopad", "-K", key.hex(), "-iv",
                           counter.hex()], input=wrapped[12:], stdout=subprocess.PIPE, check=True)
    payload = done.stdout[16:]
    size, _, kind, _ = struct.unpack_from("<HHHH", payload)
    if size != len(payload) or kind != 1:
        raise NotOpened("what was unwrapped is no key")
    return payload[12:]


def stretched(password, salt):
    start = hashlib.sha256(hashlib.sha256(password.encode("utf-16-le")).digest()).digest()
    last, tail = bytes(32), start + salt
    for count in range(ROUNDS):
        last = hashlib.sha256(last + tail + struct.pack("<Q", count)).digest()
    return last


def volume_key(metadata, password):
    """`metadata`: one copy, with its header."""
    dataset = list(entries(metadata[0x70:0x40 + struct.unpack_from("<I", metadata, 0x40)[0]]))
    for _, kind, body in dataset:
        if kind != PROTECTOR or struct.unpack_from("<H", body, 26)[0] != PASSWORD:
            continue
        parts = {part: content for _, part, content in entries(body[28:])}
        master = unwrap(stretched(password, parts[STRETCHED][4:20]), parts[WRAPPED])
        wrapped = next(content for purpose, part, content in dataset
                       if purpose == FULL_VOLUME_KEY and part == WRAPPED)
        return unwrap(master, wrapped)
    raise NotOpened("no protector is a password")
