import { expect, it } from 'vitest';
import { startControlPlane } from './plane.ts';
it('x', async () => {
  const t = Date.now();
  const plane = await startControlPlane({ version: '1.35' });
  console.log('ready', Date.now() - t);
  const r = await plane.request('GET', '/api/v1/namespaces');
  console.log(r.status, plane.apiserver.pid);
  const t2 = Date.now();
  await plane.restart();
  console.log('restart', Date.now() - t2);
  await plane.stop();
  expect(r.status).toBe(200);
});
