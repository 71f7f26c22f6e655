/** Every target keeps the one contract (contract/common.ts), and those on hosts more (contract/contract.ts). A new one is a fixture more. */
import { common } from './contract/common.ts';
import { contract } from './contract/contract.ts';
import { subjects as hosted } from './contract/hosted.ts';
import { subjects as owners } from './contract/owner.ts';
import { fixtures as rancher } from './contract/rancher.ts';
import { fixture as staticPod } from './contract/static-pod.ts';
import { fixture as systemd } from './contract/systemd.ts';

contract(staticPod);
contract(systemd);
for (const fixture of rancher) contract(fixture);
for (const subject of hosted) common(subject);
for (const subject of owners) common(subject);
