#!/usr/bin/env python3
"""Writes receipts.json: receipts of recorded relays, signed and checked by OpenSSL (python package cryptography).

    python3 testdata/relay-receipt-v1/make.py
"""

import base64
import hashlib
import json
import pathlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

HERE = pathlib.Path(__file__).parent
RELAYS = json.loads((HERE.parent / "go-poktroll-0.1.35" / "relay.json").read_text())
TAG = b"POKT-RELAY-RECEIPT-v1\0"
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def sign(key, digest):
    """r‖s over SHA-256(digest), RFC 6979 nonce; the low s and the high one."""
    der = key.sign(digest, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    r, s = utils.decode_dss_signature(der)
    key.public_key().verify(der, digest, ec.ECDSA(hashes.SHA256()))
    compact = [r.to_bytes(32, "big") + s.to_bytes(32, "big") for s in (min(s, ORDER - s), max(s, ORDER - s))]
    return compact


def case(relay, actors):
    supplier = actors[relay["supplier_operator_address"]]
    signature = bytes.fromhex(relay["request_signature"])
    payload_hash = bytes.fromhex(relay["response_payload_hash"])
    digest = hashlib.sha256(TAG + signature + payload_hash).digest()
    key = ec.derive_private_key(int(supplier["private_key"], 16), ec.SECP256K1())
    low, high = sign(key, digest)
    return {
        "name": relay["name"],
        "request_signature": signature.hex(),
        "payload_hash": payload_hash.hex(),
        "supplier_private_key": supplier["private_key"],
        "supplier_public_key": supplier["public_key"],
        "digest": digest.hex(),
        "receipt": "v1." + low.hex(),
        "accepted": ["v1." + low.hex().upper(), "v1." + base64.urlsafe_b64encode(low).decode().rstrip("="),
                     "v1." + base64.urlsafe_b64encode(low).decode()],
        "refused_high_s": "v1." + high.hex(),
    }


actors = {actor["address"]: actor for actor in RELAYS["actors"] if "address" in actor}
cases = [case(relay, actors) for relay in RELAYS["relays"] if relay["response_payload_hash"]]
(HERE / "receipts.json").write_text(json.dumps({"receipts": cases}, indent=1) + "\n")
print(len(cases), "receipts")
