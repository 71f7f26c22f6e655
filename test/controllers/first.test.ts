/** Whose change waits for nobody, when a new leader looks at thousands of AuditConfigs. */
import { expect, it } from 'vitest';
import { isAtRest } from '../../src/controllers/first.ts';
import type { KubeObject } from '../../src/kube/types.ts';

const rolled = (status: string) => ({ conditions: [{ type: 'RolledOut', status }] });
const config = (metadata: object, status?: object): KubeObject => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: 'main', namespace: 'a', generation: 3, ...metadata },
  ...(status === undefined ? {} : { status }),
});

it.each([
  ['is through with what it was told', config({}, { observedGeneration: 3, ...rolled('True') }), true],
  ['was changed since', config({}, { observedGeneration: 2, ...rolled('True') }), false],
  ['is on its way', config({}, { observedGeneration: 3, ...rolled('False') }), false],
  ['is being deleted', config({ deletionTimestamp: 'x' }, { observedGeneration: 3, ...rolled('True') }), false],
  ['says something that is none', config({}, { observedGeneration: 3, conditions: 'yes' }), false],
  ['says nothing yet', config({}), false],
  ['says nothing, without a generation', config({ generation: undefined }), false],
])('one that %s is looked at in its turn, or at once', (_, object, isResting) => {
  expect(isAtRest(object)).toBe(isResting);
});
