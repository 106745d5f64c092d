"""The sector ciphers as such, on one core and in memory."""

import json
import re
import shutil
import statistics
import subprocess
from pathlib import Path

from harness import skipped, verdict

XTS_WANTED = 0.9
# What libcrypto does: sector by sector, or all at once, which is an upper bound when it decrypts,
# and no peer when it encrypts, since one chain cannot be interleaved.
CBC_WANTED = {("encrypt", "sectors"): 3.0, ("decrypt", "sectors"): 0.9, ("decrypt", "run"): 0.9}
CBC_PEERS = {"sectors": "EVP sector by sector", "run": "EVP all at once"}
CIPHERS = ("xts-aes-128", "xts-aes-256", "aes-cbc-128", "aes-cbc-256")


def openssl_speed(cipher, direction):
    """Bytes a second of libcrypto over 512 bytes in the first-level cache, one key and tweak."""
    size = cipher.removeprefix("xts-aes-")
    words = ["openssl", "speed", "-mr", "-elapsed", "-seconds", "1", "-bytes", "512",
             "-evp", f"aes-{size}-xts"]
    if direction == "decrypt":
        words.append("-decrypt")
    output = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return float(re.search(r"^\+F:.*:([0-9.]+)$", output, re.MULTILINE).group(1))


def sector_ciphers(program, _, rounds):
    bench = Path(program.path).resolve().parents[1] / "tests" / "bench" / "sector_cipher_bench"
    if not bench.exists():
        return skipped("sector ciphers", f"{bench} is not built")
    # Program and peer take turns, and the ratio is that of neighbours.
    figures = {}
    for _ in range(rounds):
        for cipher in CIPHERS:
            output = subprocess.run([str(bench), "0.5", cipher], check=True, capture_output=True)
            for direction, measured in json.loads(output.stdout).items():
                ours = measured.pop("ours")
                rates, peers = figures.setdefault((cipher, direction), ([], {}))
                rates.append(ours)
                for name, peer in measured.items():
                    wanted = CBC_WANTED.get((direction, name))
                    if wanted:
                        pairs = peers.setdefault((CBC_PEERS[name], wanted), [])
                        pairs.append((peer["rate"], peer["ratio"]))
                if not measured and shutil.which("openssl"):
                    theirs = openssl_speed(cipher, direction)
                    pairs = peers.setdefault(("openssl speed", XTS_WANTED), [])
                    pairs.append((theirs, ours / theirs))
    ok = True
    for (cipher, direction), (rates, peers) in figures.items():
        text = f"{cipher} {direction} {statistics.median(rates) / 1e9:.2f} GB/s"
        if not peers:
            skipped("sector ciphers", f"{text}, and no openssl to compare with")
        for (name, wanted), pairs in peers.items():
            rate, ratio = (statistics.median(column) for column in zip(*pairs))
            ok &= verdict("sector ciphers", f"{text}, {name} {rate / 1e9:.2f} GB/s, ratio "
                          f"{ratio:.2f} (wanted {wanted})", ratio >= wanted)
    return ok
