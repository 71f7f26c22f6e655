/** Why a plan changes nothing, as a finding. Every target refuses in these words. */
import type { Finding } from '../api/findings.ts';

export const refusal = (code: string, message: string, path = ''): Finding => ({
  severity: 'error',
  code,
  message,
  path,
});
