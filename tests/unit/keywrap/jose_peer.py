"""The other side of the envelope tests: jwcrypto opens and makes envelopes.

  jose_peer.py open PEM UNLOCK ENVELOPE          prints the payload
  jose_peer.py make PEM UNLOCK HEADER KID PAYLOAD  prints an envelope; HEADER and PAYLOAD are JSON
  jose_peer.py rounds PEM                        prints the PBKDF2 rounds and the PRF's OID

PEM is a private key file of the store, UNLOCK the store's unlock file.
"""
import base64
import json
import re
import sys

from jwcrypto import jwe, jwk


def private_key(pem, unlock):
    with open(pem, "rb") as file, open(unlock, "rb") as secret:
        return jwk.JWK.from_pem(file.read(), password=secret.read().strip())


def main():
    command, arguments = sys.argv[1], sys.argv[2:]
    if command == "open":
        with open(arguments[2], encoding="utf-8") as file:
            token = jwe.JWE(algs=["RSA-OAEP-256", "A256GCM"])
            token.deserialize(file.read(), private_key(arguments[0], arguments[1]))
        sys.stdout.write(token.payload.decode())
    elif command == "make":
        key = private_key(arguments[0], arguments[1])
        token = jwe.JWE(arguments[4].encode(), protected=arguments[2],
                        algs=["RSA-OAEP-256", "A256GCM"])
        header = {"alg": "RSA-OAEP-256", "kid": arguments[3]}
        # Twice: with one recipient jwcrypto writes the flattened form.
        token.add_recipient(key, json.dumps(header))
        token.add_recipient(key, json.dumps(header))
        sys.stdout.write(token.serialize())
    elif command == "rounds":
        with open(arguments[0], encoding="ascii") as file:
            der = base64.b64decode(re.sub("-----[^-]+-----", "", file.read()))
        # INTEGER of 600000 (09 27 C0), then hmacWithSHA256 (1.2.840.113549.2.9).
        found = der.find(bytes.fromhex("020309 27c0 300c 0608 2a864886f70d0209".replace(" ", "")))
        sys.stdout.write("600000 SHA-256" if found > 0 else "other")


main()
