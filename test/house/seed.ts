/**
 * One seed of fast-check for everybody: a red run says something of the change, not of the day. AUDITCONFIG_SEED chooses
 * another (`AUDITCONFIG_SEED=$RANDOM npm run unit`), which is how new cases are looked for.
 */
import fc from 'fast-check';

fc.configureGlobal({ seed: Number(process.env['AUDITCONFIG_SEED'] ?? 20_261_121) });
