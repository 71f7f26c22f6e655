/**
 * metav1.LabelSelector: its schema, and whether labels match it. nil selects nothing and {} everything, as everywhere in
 * Kubernetes (k8s.io/apimachinery pkg/apis/meta/v1/helpers.go). Called for a datacenter's selectors.
 */
import { z } from 'zod';
import { checked, list, strings, text } from './crd-schema.ts';

const requirement = checked(
  z.strictObject({
    key: text(317).describe('A label.'),
    operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
    values: list(z.string().max(63), 32).optional().describe('For In and NotIn, at least one; for the others none.'),
  }),
  [
    {
      rule: "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
      message: 'In and NotIn need values; Exists and DoesNotExist have none',
      holds: ({ operator, values = [] }) => ['In', 'NotIn'].includes(operator) === values.length > 0,
    },
  ],
);

export const labelSelector = z.strictObject({
  matchLabels: strings(16, 63).optional(),
  matchExpressions: list(requirement, 16).optional(),
});
export type LabelSelector = z.infer<typeof labelSelector>;
export type Labels = Readonly<Record<string, string>>;

type Requirement = NonNullable<LabelSelector['matchExpressions']>[number];

function meets(labels: Labels, { key, operator, values = [] }: Requirement): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    // A label that is not there is in no list.
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

/** As a query of the API server has it; empty where it selects everything. */
export function labelSelectorText({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const exact = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  const rest = matchExpressions.map(({ key, operator, values = [] }) => {
    switch (operator) {
      case 'In':
        return `${key} in (${values.join(',')})`;
      case 'NotIn':
        return `${key} notin (${values.join(',')})`;
      case 'Exists':
        return key;
      case 'DoesNotExist':
        return `!${key}`;
    }
  });
  return [...exact, ...rest].join(',');
}

export function matchesLabels(selector: LabelSelector | undefined, labels: Labels | undefined): boolean {
  if (selector === undefined) return false;
  const there = labels ?? {};
  const exact = Object.entries(selector.matchLabels ?? {});
  return (
    exact.every(([key, value]) => Object.hasOwn(there, key) && there[key] === value) &&
    (selector.matchExpressions ?? []).every((r) => meets(there, r))
  );
}
