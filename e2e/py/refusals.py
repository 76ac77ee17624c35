"""Refusals as Python's requests sees them. usage: python3 refusals.py GATEWAY_URL SERVICER_URL"""

import json
import sys

import requests

gateway, servicer = sys.argv[1:]
TRIES = 50  # a relay of ours may slip in between those that keep the gateway busy


def body(method, params):
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


for url, sent, status, code in [
    (gateway, body("eth_call", ["0" * 20_000_000]), 400, -31022),
    (f"{gateway}/nosuch", body("eth_blockNumber", []), 404, -31010),
    (gateway, body("eth_blockNumber", []), 503, -31052),
]:
    for _ in range(TRIES):
        answer = requests.post(url, data=sent, timeout=60)
        if answer.status_code == status:
            break
    seen = (answer.status_code, answer.json().get("error", {}).get("code"))
    assert seen == (status, code), (url, seen, answer.text[:300])

answer = requests.post(servicer, data=b"\0" * 30_000_000, timeout=60)
assert answer.status_code == 413, answer.text[:300]
print(json.dumps({"ok": True}))
