// What a program written with the npm package `nacos` (2.x) does against a running server.
//
// Commands (the same for every program beside this one, see ../README.md): hold, see, all, watch, own.
// Only the published client speaks to the server here; nothing of it is patched or replaced.
// One habit of this client shapes the code: it keeps its last list when the server answers an empty
// one, so every look is taken with a client of its own. The server's address comes from MERAK_NACOS.
'use strict';

const { once } = require('events');
const net = require('net');

const { NacosNamingClient } = require('nacos');

const SEE_WITHIN_MS = 30000;
const POLL_MS = 200;
// This client sends its first beat 10 s after its start; without one the server's patience ends at 15 s.
const LONGER_THAN_THE_BEAT_TIMEOUT_MS = 20000;

const quiet = { debug() {}, info() {}, warn: console.error, error: console.error };
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));
const address = host => `${host.ip}:${host.port}`;

async function connect(namespace = 'public') {
  const client = new NacosNamingClient({ logger: quiet, serverList: process.env.MERAK_NACOS, namespace });
  client.on('error', err => console.error(err.message));
  await client.ready();
  return client;
}

function ensure(what, isSo, detail = '') {
  if (!isSo) throw new Error(`not so: ${what} ${JSON.stringify(detail)}`);
  console.error(`ok: ${what}`);
}

// `weight`, `cluster` and `disabled` are the instance's own; every other pair is metadata.
function instance(ip, port, pairs) {
  const { weight = '1', cluster = 'DEFAULT', disabled = 'false', ...metadata } =
    Object.fromEntries(pairs.map(pair => pair.split(/=(.*)/s).slice(0, 2)));
  return { ip, port: Number(port), weight: Number(weight), clusterName: cluster, enabled: disabled !== 'true', metadata };
}

async function hold(namespace, service, ip, port, ...pairs) {
  const client = await connect(namespace);
  const ours = instance(ip, port, pairs);
  await client.registerInstance(service, ours);
  console.log('held');
  await inputClosed();
  await client.deregisterInstance(service, ours);
  console.log('released');
  await client.close();
}

// The first line is asked for, so that it comes also where there is nothing to be told of.
async function watch(service) {
  const tell = hosts => {
    const instances = hosts.filter(host => host.healthy && host.enabled).map(address).sort();
    console.log(JSON.stringify({ at_ms: Date.now(), instances }));
  };
  tell(await listed(service, true));
  const client = await connect();
  client.subscribe(service, tell);
  await inputClosed();
  await client.close();
}

const inputClosed = () => new Promise(resolve => process.stdin.on('end', resolve).resume());

async function listed(service, healthyOnly) {
  const client = await connect();
  const hosts = healthyOnly
    ? await client.selectInstances(service, 'DEFAULT_GROUP', '', true, false)
    : await client.getAllInstances(service, 'DEFAULT_GROUP', '', false);
  await client.close();
  return hosts
    .map(({ ip, port, weight, healthy, enabled, metadata, clusterName }) =>
      ({ ip, port, weight, healthy, enabled, metadata, cluster: clusterName }))
    .sort((a, b) => (address(a) < address(b) ? -1 : 1));
}

// Polls the client's list until it holds these addresses and no others.
async function awaitExactly(service, addresses, healthyOnly = true) {
  const wanted = [...addresses].sort().join();
  const deadline = Date.now() + SEE_WITHIN_MS;
  for (;;) {
    const seen = await listed(service, healthyOnly);
    if (seen.map(address).join() === wanted) return seen;
    if (Date.now() > deadline) throw new Error(`${service}: expected ${wanted}, saw ${JSON.stringify(seen)}`);
    await sleep(POLL_MS);
  }
}

async function own() {
  const service = `own-node-${process.pid}`;
  const client = await connect();
  ensure('the server says that it is up', (await client.getServerStatus()) === 'UP');
  const first = instance('127.2.0.1', 9001, ['weight=2.5', 'cluster=blue', 'team=a', 'note=ü & =']);
  const second = instance('127.2.0.2', 9002, ['team=b']);
  await client.registerInstance(service, first);
  const [host] = await awaitExactly(service, ['127.2.0.1:9001']);
  const expected = {
    ip: '127.2.0.1', port: 9001, weight: 2.5, healthy: true, enabled: true,
    metadata: { team: 'a', note: 'ü & =' }, cluster: 'blue',
  };
  for (const [field, value] of Object.entries(expected)) {
    ensure(`the list gives back ${field}`, JSON.stringify(sorted(host[field])) === JSON.stringify(sorted(value)), host);
  }
  await client.registerInstance(service, second);
  const both = ['127.2.0.1:9001', '127.2.0.2:9002'];
  await awaitExactly(service, both);
  ensure('several instances are listed', true);
  let pushed = [];
  // A subscription by name alone means the cluster DEFAULT.
  client.subscribe({ serviceName: service, clusters: 'DEFAULT,blue' }, hosts => { pushed = hosts; });
  await sleep(LONGER_THAN_THE_BEAT_TIMEOUT_MS);
  ensure('a subscriber is told', pushed.map(address).sort().join() === both.join(), pushed);
  ensure('beats keep instances alive', (await listed(service, true)).length === 2);

  const other = await connect();
  await other.deregisterInstance(service, second);
  await other.close();
  await awaitExactly(service, both);
  ensure('a beat re-creates what somebody else removed', true);

  await client.deregisterInstance(service, first);
  await client.deregisterInstance(service, second);
  await awaitExactly(service, [], false);
  ensure('and after deregistering nothing is listed', true);
  await persistent(client, `${service}-persistent`);
  await client.close();
}

// Something listens at the address, so that a server that looks finds it healthy.
async function persistent(client, service) {
  const alive = net.createServer(socket => socket.end()).listen(0, '127.2.1.1');
  await once(alive, 'listening');
  const { port } = alive.address();
  const lasting = { ...instance('127.2.1.1', port, []), ephemeral: false };
  await client.registerInstance(service, lasting);
  await awaitExactly(service, [`127.2.1.1:${port}`]);
  const [host] = await client.getAllInstances(service, 'DEFAULT_GROUP', '', false);
  ensure('a persistent instance is listed as such', host.ephemeral === false, host);
  await client.deregisterInstance(service, lasting);
  await awaitExactly(service, [], false);
  console.error('can: persistent');
  alive.close();
}

// Key order in metadata is nobody's promise.
function sorted(value) {
  return value && typeof value === 'object' ? Object.entries(value).sort() : value;
}

const [, , command, ...rest] = process.argv;
const commands = {
  hold,
  watch,
  own,
  see: async (service, ...addresses) => console.log(JSON.stringify(await awaitExactly(service, addresses, true))),
  all: async (service, ...addresses) => console.log(JSON.stringify(await awaitExactly(service, addresses, false))),
};
if (!commands[command]) {
  console.error(`unknown command ${command}`);
  process.exit(2);
}
commands[command](...rest).then(() => process.exit(0), err => {
  console.error(err.stack);
  process.exit(1);
});
