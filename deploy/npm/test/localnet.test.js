// Against the installed package and the real binary: `deploy/npm/check BINARY` runs it.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { createLocalnet } from 'portico-localnet';

const call = (url) =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'status', params: {} }),
  });

test('a relay goes through a network that is there between start and stop', async () => {
  const localnet = createLocalnet({ blockTime: '500ms' });
  assert.throws(() => localnet.gatewayUrl, /start\(\) first/);
  await localnet.start();
  const url = localnet.serviceUrl('pocket');
  const folder = localnet.dataDir;
  try {
    const answer = await call(url);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get('x-supplier-address'), /^pokt1/);
    assert.equal((await answer.json()).id, 7);
    const status = await (await fetch(`${localnet.rpcUrl}/status`)).json();
    assert.ok(Number(status.result.sync_info.latest_block_height) > 0);
    await assert.rejects(localnet.start(), /runs already/);
  } finally {
    await localnet.stop();
  }
  await assert.rejects(call(url));
  assert.ok(!existsSync(folder), 'its folder is gone');
});

test('two networks run side by side, and one starts again', async () => {
  const networks = [createLocalnet(), createLocalnet()];
  try {
    await Promise.all(networks.map((localnet) => localnet.start()));
    assert.notEqual(networks[0].gatewayUrl, networks[1].gatewayUrl);
    await networks[0].stop();
    await networks[0].start();
    assert.equal((await call(networks[0].serviceUrl('pocket'))).status, 200);
  } finally {
    await Promise.all(networks.map((localnet) => localnet.stop()));
  }
});

test('what is wrong is said', async () => {
  assert.throws(() => createLocalnet({ blocktime: '1s' }), /unknown option blocktime/);
  await assert.rejects(createLocalnet({ binary: '/no/such/portico' }).start(), /cannot be started/);
  await assert.rejects(createLocalnet({ blockTime: 'soon' }).start(), /ended \(exit code 2\)/);
});
