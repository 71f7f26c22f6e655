/**
 * The nouns of audit.k8s.io/v1 as the policy engine uses them after loading: defaults applied, absent lists empty.
 * Source: k8s.io/apiserver pkg/apis/audit (types.go), which is the same from Kubernetes 1.26 on.
 */

/** From least to most; a level's index is its rank. */
export const LEVELS = ['None', 'Metadata', 'Request', 'RequestResponse'] as const;
export type Level = (typeof LEVELS)[number];

export const STAGES = ['RequestReceived', 'ResponseStarted', 'ResponseComplete', 'Panic'] as const;
export type Stage = (typeof STAGES)[number];

export type GroupResources = {
  readonly group: string;
  readonly resources: readonly string[];
  readonly resourceNames: readonly string[];
};

/** One PolicyRule. Empty lists mean "any", as in the API server, where nil and empty are the same. */
export type Rule = {
  readonly level: Level;
  readonly users: readonly string[];
  readonly userGroups: readonly string[];
  readonly verbs: readonly string[];
  readonly resources: readonly GroupResources[];
  readonly namespaces: readonly string[];
  readonly nonResourceURLs: readonly string[];
  readonly omitStages: readonly Stage[];
  /** Unset: the policy's own setting counts. */
  readonly omitManagedFields?: boolean;
};

export type Policy = {
  readonly rules: readonly Rule[];
  readonly omitStages: readonly Stage[];
  readonly omitManagedFields: boolean;
};

/** What an API server decides for one request. `rule` is the index of the matching rule, null where none matches. */
export type Decision = {
  readonly level: Level;
  readonly rule: number | null;
  /** Sorted; policy's and rule's together. */
  readonly omitStages: readonly Stage[];
  readonly omitManagedFields: boolean;
};

/** A request as the policy sees it: authorizer attributes, before impersonation. */
export type RequestAttributes = {
  /** Absent: there is no user information at all (not the same as an empty name). */
  readonly user?: string;
  readonly groups: readonly string[];
  readonly verb: string;
} & (
  | {
      readonly kind: 'Resource';
      readonly group: string;
      readonly version: string;
      readonly resource: string;
      readonly subresource: string;
      readonly namespace: string;
      readonly name: string;
    }
  | { readonly kind: 'NonResource'; readonly path: string }
);
