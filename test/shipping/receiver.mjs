// A receiver inside a cluster's network, where pods reach it: HTTP, or HTTPS with a certificate, whose bodies are lines of JSON.
// Prints one line for each record. Its one argument is JSON: {host, port, tls: {cert, key}}; without tls it is HTTP.
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';

const { host, port, tls } = JSON.parse(process.argv[2]);

const answer = (request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (chunk) => (body += chunk));
  request.on('end', () => {
    for (const line of body.split('\n').filter((l) => l !== '')) {
      const { auditID, stage, requestURI, cluster_id, node } = JSON.parse(line);
      console.log(JSON.stringify({ path: request.url, auditID, stage, requestURI, cluster_id, node }));
    }
    response.writeHead(200).end();
  });
};
const server = tls === undefined ? createHttp(answer) : createHttps(tls, answer);
server.listen({ host, port }, () => console.log('ready'));
