// A client of three API servers, inside the cluster's network: asks for one object over and over on one HTTP/2
// connection, as client-go does, and goes to the next server only where a connection is refused or where the server has
// said GOAWAY, or where a server that is ending says `503, Retry-After` (kube-apiserver's answer between SIGTERM and
// GOAWAY; client-go asks again by itself). Every other failure counts. Prints one line of JSON when its standard input closes.
// Its one argument is a file of JSON: {servers: ["https://..."], credentials: {ca, cert, key}, path}.
import { readFileSync } from 'node:fs';
import { connect, constants } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';

const { servers, credentials, path } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const report = { asked: 0, refused: 0, goaway: 0, ending: 0, slowestMs: 0, failed: [] };
let at = 0;
let session;
let stop = false;
process.stdin.on('end', () => (stop = true)).resume();

function leave() {
  session?.close();
  session = undefined;
  at = (at + 1) % servers.length;
}

/** A connection to the current server; throws what the connection failed with. */
async function connected() {
  if (session !== undefined && !session.closed && !session.destroyed) return session;
  const opened = connect(servers[at], credentials);
  await new Promise((resolve, reject) => opened.once('connect', resolve).once('error', reject));
  opened.on('error', () => undefined);
  opened.on('goaway', () => {
    report.goaway++;
    // Nothing new is asked on it; what is under way comes to its end.
    if (session === opened) leave();
  });
  session = opened;
  return opened;
}

const ask = (from) =>
  new Promise((resolve, reject) => {
    const stream = from.request({ ':path': path, accept: 'application/json' });
    let status = 0;
    let again = false;
    let text = '';
    stream.on('response', (headers) => {
      status = headers[':status'];
      again = status === 503 && headers['retry-after'] !== undefined;
    });
    stream.on('error', (error) => reject(Object.assign(error, { rst: stream.rstCode })));
    stream.on('end', () => resolve({ status, text, again }));
    stream.setEncoding('utf8').on('data', (chunk) => (text += chunk));
    stream.end();
  });

const notTakenUp = (error) =>
  error.code === 'ERR_HTTP2_GOAWAY_SESSION' ||
  error.code === 'ERR_HTTP2_INVALID_SESSION' ||
  (error.code === 'ERR_HTTP2_STREAM_ERROR' && error.rst === constants.NGHTTP2_REFUSED_STREAM);

/** What a user would have seen fail; undefined for an answer. */
async function once() {
  for (let tries = 0; tries < servers.length * 2; tries++) {
    const server = servers[at];
    let from;
    try {
      from = await connected();
    } catch (error) {
      if (error.code !== 'ECONNREFUSED') return `connecting: ${error.code ?? error.message} from ${server}`;
      report.refused++;
      leave();
      continue;
    }
    try {
      const { status, text, again } = await ask(from);
      if (again) {
        report.ending++;
        if (session === from) leave();
        continue;
      }
      return status === 200 ? undefined : `${status} from ${server}: ${text.slice(0, 300)}`;
    } catch (error) {
      if (!notTakenUp(error)) return `${error.code}: ${error.message} from ${server}`;
      if (session === from) leave();
    }
  }
  return 'no server takes a connection';
}

console.log('ready');
while (!stop) {
  const start = Date.now();
  const failure = await once();
  report.asked++;
  report.slowestMs = Math.max(report.slowestMs, Date.now() - start);
  if (failure !== undefined) report.failed.push(`${new Date().toISOString()} ${failure}`);
  // All three servers are to be seen by it, whichever is going down.
  if (report.asked % 50 === 0) leave();
  await sleep(20);
}
console.log(JSON.stringify(report));
process.exit(0);
