/** Every kind of place on a host keeps the one contract (contract/contract.ts). A new one is a fixture more. */
import { contract } from './contract/contract.ts';
import { fixtures as rancher } from './contract/rancher.ts';
import { fixture as staticPod } from './contract/static-pod.ts';
import { fixture as systemd } from './contract/systemd.ts';

contract(staticPod);
contract(systemd);
for (const fixture of rancher) contract(fixture);
