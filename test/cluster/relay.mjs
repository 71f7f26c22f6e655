// Runs inside the cluster's network: makes each API server reachable from outside by a socket file, so that nothing of
// the cluster is in the machine's own network, and stands where a load balancer stands before a control plane.
// Its one argument is JSON: {sockets: [{path, host, port}], balancer: {host, port, backends: [{host, port}]}}.
import { connect, createServer } from 'node:net';

const { sockets, balancer } = JSON.parse(process.argv[2]);

function join(a, b) {
  a.pipe(b);
  b.pipe(a);
  for (const [one, other] of [
    [a, b],
    [b, a],
  ]) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroy());
  }
}

/** The first that takes the connection; the caller is cut off where none does. */
function forward(client, backends) {
  client.on('error', () => undefined);
  const [backend, ...others] = backends;
  if (backend === undefined) return void client.destroy();
  const server = connect(backend);
  server.once('error', () => forward(client, others));
  server.once('connect', () => {
    server.removeAllListeners('error');
    join(client, server);
  });
}

let turn = 0;
function rotated(list) {
  const at = turn++ % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

const listening = [
  ...sockets.map(({ path, host, port }) => [{ path }, () => [{ host, port }]]),
  [{ host: balancer.host, port: balancer.port }, () => rotated(balancer.backends)],
].map(
  ([address, backends]) =>
    new Promise((resolve, reject) => {
      const server = createServer((client) => forward(client, backends()));
      server.once('error', reject);
      server.listen(address, resolve);
    }),
);
await Promise.all(listening);
console.log('ready');
