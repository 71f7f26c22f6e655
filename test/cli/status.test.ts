import { describe, expect, it } from 'vitest';
import { configRow, nodeRow, text } from '../../src/cli/status.ts';

const object = (kind: string, name: string, namespace?: string) => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind,
  metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
});
const DIGEST = 'ab'.repeat(32);
const condition = (status: 'True' | 'False', reason: string, message: string) => ({
  conditions: [{ type: 'Ready', status, reason, message, lastTransitionTime: '2026-01-01T00:00:00Z' }],
});
const spec = {
  nodeName: 'cp-1',
  auditConfigRef: { namespace: 'sys', name: 'main', uid: 'u' },
  desired: {
    type: 'Revision' as const,
    revision: { kind: 'ConfigMap' as const, namespace: 'b', name: 'r', digest: DIGEST },
  },
  timeoutSeconds: 300,
};

describe('auditconfig status', () => {
  it('shows configs and nodes in tables, and says why where something is wrong', () => {
    const config = configRow(object('AuditConfig', 'main', 'sys'), {
      ...condition('False', 'NodeHeld', 'node cp-1 went back'),
      revision: { name: 'r', digest: DIGEST },
      nodes: { desired: 3, updated: 1, failed: 1, summary: '1/3' },
    });
    const lastFailure = { digest: DIGEST, reason: 'CrashLoop', message: 'unknown flag', time: '2026-01-01T00:00:00Z' };
    const node = nodeRow(object('AuditNode', 'cp-1'), spec, {
      phase: 'Held',
      lastFailure,
      kubernetesVersion: 'v1.36.3',
    });
    expect(text({ auditConfigs: [config], auditNodes: [node] })).toBe(
      [
        'NAMESPACE   AUDITCONFIG   READY   REASON     REVISION           NODES',
        'sys         main          False   NodeHeld   abababababababab   1/3',
        '',
        'NODE   AUDITCONFIG   PHASE   CURRENT   WANTED             KUBERNETES',
        'cp-1   sys/main      Held    -         abababababababab   v1.36.3',
        '',
        'sys/main: node cp-1 went back',
        'node cp-1: CrashLoop: unknown flag',
        '',
      ].join('\n'),
    );
  });

  it('says nothing below the tables when all is well', () => {
    const ready = configRow(object('AuditConfig', 'main', 'sys'), condition('True', 'Ready', 'all 1 nodes run it'));
    const node = nodeRow(object('AuditNode', 'cp-1'), spec, { phase: 'Settled', current: DIGEST });
    expect(text({ auditConfigs: [ready], auditNodes: [node] }).split('\n')).toHaveLength(6);
  });

  it('an AuditConfig that no controller has seen is Unknown, and an agent that never spoke silent', () => {
    expect(configRow(object('AuditConfig', 'main', 'sys'), {})).toMatchObject({ ready: 'Unknown', reason: 'Pending' });
    expect(nodeRow(object('AuditNode', 'cp-1'), spec, {}).phase).toBe('AgentSilent');
    expect(text({ auditConfigs: [], auditNodes: [] })).toBe('no AuditConfig found\n');
  });

  it('cannot be drawn on by the words of an API server, or of whoever wrote an AuditConfig', () => {
    const wild = 'x\u001b[2J\u009b\u202e';
    const config = configRow(object('AuditConfig', 'main', 'sys'), condition('False', wild, `${wild}\nsecond line`));
    const shown = text({ auditConfigs: [config], auditNodes: [] });
    expect(shown).not.toMatch(/[\u001b\u009b\u202e]/);
    expect(shown).toContain('\nsys/main: x\\u{1b}[2J\\u{9b}\\u{202e}\n  second line\n');
  });
});
