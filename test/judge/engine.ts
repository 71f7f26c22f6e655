/** The engine under test, as the differential run calls it. */
import type { Finding } from '../../src/api/findings.ts';
import type { RequestAttributes } from '../../src/api/audit.ts';
import { compilePolicy } from '../../src/policy/evaluate.ts';
import { loadPolicy } from '../../src/policy/load.ts';
import { parseRequestLine } from '../../src/policy/request.ts';
import type { Engine } from './disagreement.ts';

export const ENGINE: Engine = {
  load: loadPolicy,
  compile: compilePolicy,
  parse: (line): RequestAttributes | Finding => parseRequestLine(line),
};
