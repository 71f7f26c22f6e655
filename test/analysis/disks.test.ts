/** Which folders lie on one disk, from a mount table. */
import { describe, expect, it } from 'vitest';
import { deviceAt, shareDisk } from '../../src/analysis/disks.ts';

const TABLE = `21 1 253:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 21 253:2 / /var/lib/etcd rw - xfs /dev/vdb rw
31 21 253:3 / /var/log rw - ext4 /dev/vdc rw
32 31 253:3 /audit /var/log/kube-audit rw - ext4 /dev/vdc rw
33 21 253:4 / /mnt/a\\040b rw - ext4 /dev/vdd rw
34 21 0:50 / /over rw - tmpfs tmpfs rw
35 34 0:51 / /over rw - tmpfs tmpfs rw
`;

describe('the disk of a folder', () => {
  it.each([
    ['/etc', '253:1'],
    ['/var/lib/etcd/member', '253:2'],
    ['/var/lib/etcd2', '253:1'],
    ['/var/log/kube-audit', '253:3'],
    ['/mnt/a b/c', '253:4'],
    ['/over/x', '0:51'],
  ])('%s is on %s', (path, device) => {
    expect(deviceAt(TABLE, path)).toBe(device);
  });
  it('is shared or not, or not known', () => {
    expect(shareDisk(TABLE, '/var/log/kube-audit', '/var/lib/etcd')).toBe(false);
    expect(shareDisk(TABLE, '/var/log/kube-audit', '/var/log/other')).toBe(true);
    expect(shareDisk('', '/var/log/kube-audit', '/var/lib/etcd')).toBeUndefined();
  });
});
