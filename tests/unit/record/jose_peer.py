"""A record judged by jwcrypto, which shares no code with driveprep: jose_peer.py RECORD PUBLIC-KEY

The public key is PEM, from somewhere else than the record. Prints what was signed.
"""

import json
import sys

from jwcrypto import jwk, jws

with open(sys.argv[1], encoding="utf-8") as file:
    text = file.read()
with open(sys.argv[2], "rb") as file:
    key = jwk.JWK.from_pem(file.read())

signature = jws.JWS()
signature.deserialize(text)
signature.verify(key)
header = json.loads(signature.objects["protected"])
if header["kid"] != key.thumbprint() or jwk.JWK(**header["jwk"]).thumbprint() != key.thumbprint():
    sys.exit("the header names another key")
if json.loads(text)["record"] != json.loads(signature.payload):
    sys.exit("the readable part differs")
print(signature.payload.decode())
