// A client of three API servers, inside the cluster's network: asks for one object again and again over kept-alive
// connections, and goes to the next server only where a connection is refused or closed before the request was taken
// up (Go closes idle connections when it stops). Every other failure counts. Prints one line of JSON when its standard input closes.
// Its one argument is a file of JSON: {servers: ["https://..."], credentials: {ca, cert, key}, path}.
import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';

const { servers, credentials, path } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const agent = new Agent({ connect: { ...credentials, timeout: 2_000 }, connections: 2, pipelining: 1 });
const REFUSED = new Set(['ECONNREFUSED', 'UND_ERR_CONNECT_TIMEOUT']);
const CLOSED = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);

let asked = 0;
let refused = 0;
let closed = 0;
let slowestMs = 0;
const failed = [];
let at = 0;
let stop = false;
process.stdin.on('end', () => (stop = true)).resume();

async function once() {
  for (let tries = 0; tries < servers.length * 2; tries++) {
    try {
      const reply = await request(`${servers[at]}${path}`, { dispatcher: agent, headersTimeout: 60_000 });
      await reply.body.dump();
      return reply.statusCode === 200 ? undefined : `${reply.statusCode} from ${servers[at]}`;
    } catch (error) {
      if (REFUSED.has(error.code)) refused++;
      else if (CLOSED.has(error.code)) closed++;
      else return `${error.code ?? error.message} from ${servers[at]}`;
      at = (at + 1) % servers.length;
    }
  }
  return 'no server takes a connection';
}

console.log('ready');
while (!stop) {
  const start = Date.now();
  const failure = await once();
  asked++;
  slowestMs = Math.max(slowestMs, Date.now() - start);
  if (failure !== undefined) failed.push(`${new Date().toISOString()} ${failure}`);
  // The next may ask another server: all three are to be seen by it.
  at = (at + (asked % 20 === 0 ? 1 : 0)) % servers.length;
  await new Promise((resolve) => setTimeout(resolve, 20));
}
console.log(JSON.stringify({ asked, refused, closed, slowestMs, failed }));
process.exit(0);
