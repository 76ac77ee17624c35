"""A dApp as its developer writes it, with web3.py over HTTP and a WebSocket; the only Portico in it is the URL.
usage: python3 web3_dapp.py SERVICE_URL; prints one JSON line, exits non-zero on the first surprise"""

import asyncio
import json
import sys

from eth_account import Account
from web3 import AsyncWeb3, HTTPProvider, Web3, WebSocketProvider
from web3.exceptions import MethodUnavailable, Web3RPCError

url = sys.argv[1]
LATE = 60  # seconds until a block that does not come never will
# The node's first development account: its key is printed by the node itself at every start.
account = Account.from_key("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
recipient = Web3.to_checksum_address("0x70997970c51812dc3a010c7d01b50e0d17dc79c8")
w3 = Web3(HTTPProvider(url))


def pay():
    """A signed payment, mined by the node behind the servicer."""
    fields = {
        "to": recipient,
        "value": Web3.to_wei(1, "ether"),
        "gas": 21_000,
        "maxFeePerGas": Web3.to_wei(10, "gwei"),
        "maxPriorityFeePerGas": Web3.to_wei(1, "gwei"),
        "nonce": w3.eth.get_transaction_count(account.address),
        "chainId": w3.eth.chain_id,
    }
    sent = w3.eth.send_raw_transaction(account.sign_transaction(fields).raw_transaction)
    receipt = w3.eth.wait_for_transaction_receipt(sent, timeout=LATE, poll_latency=0.05)
    assert receipt.status == 1, receipt
    return receipt.blockNumber


assert w3.is_connected() and w3.eth.chain_id == 31337
before = w3.eth.get_balance(recipient)
block = pay()
assert w3.eth.get_balance(recipient) - before == Web3.to_wei(1, "ether")

# A batch: one HTTP call, one relay per item, answers in order.
with w3.batch_requests() as batch:
    for number in range(block + 1):
        batch.add(w3.eth.get_block(number))
    assert [found.number for found in batch.execute()] == list(range(block + 1))

# The node's own errors arrive as the library knows them.
try:
    w3.provider.make_request("eth_noSuchMethod", [])["error"]
    w3.manager.request_blocking("eth_noSuchMethod", [])
    raise AssertionError("it is answered")
except (MethodUnavailable, Web3RPCError):
    pass


async def listen():
    """Calls and a subscription on one socket: each payment's block is told."""
    async with AsyncWeb3(WebSocketProvider(url.replace("http", "ws"))) as live:
        assert await live.eth.chain_id == 31337
        subscription = await live.eth.subscribe("newHeads")
        mined = [await asyncio.to_thread(pay) for _ in range(3)]
        told = []
        async with asyncio.timeout(LATE):
            async for message in live.socket.process_subscriptions():
                assert message["subscription"] == subscription, message
                told.append(message["result"]["number"])
                if told[-1] == mined[-1]:
                    break
        assert told == mined, (told, mined)
        assert await live.eth.unsubscribe(subscription)
        assert await live.eth.block_number == mined[-1]
        return len(told)


print(json.dumps({"ok": True, "heads": asyncio.run(listen())}))
