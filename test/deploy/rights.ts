/** Rights as RBAC rules give them and as the code uses them, in one notation, so that they can be compared. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { ROOT } from '../operator/install.ts';
import type { Manifest } from '../operator/install.ts';

type Rule = {
  readonly nonResourceURLs?: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
};
export const rulesOf = (o: Manifest): readonly Rule[] => (o['rules'] ?? []) as readonly Rule[];

/** `where`: a namespace, or `*` for all of them. `name` where the rule is for one object only. */
export type Right = { where: string; resource: string; verb: string; name?: string };
export const rightText = (r: Right): string =>
  `${r.verb} ${r.resource}${r.name === undefined ? '' : `/${r.name}`} in ${r.where}`;

const qualified = (group: string, resource: string): string => (group === '' ? resource : `${resource}.${group}`);

/** Every right that the roles of this name give. */
export function grantedTo(component: string, objects: readonly Manifest[]): readonly string[] {
  const roles = objects.filter(
    (o) => (o.kind === 'Role' || o.kind === 'ClusterRole') && o.metadata.name === `auditconfig-${component}`,
  );
  return roles
    .flatMap((role) =>
      rulesOf(role).flatMap(({ apiGroups = [], resources = [], resourceNames, nonResourceURLs = [], verbs }) => [
        ...nonResourceURLs.flatMap((url) => verbs.map((verb) => rightText({ where: '*', resource: url, verb }))),
        ...apiGroups.flatMap((g) =>
          resources.flatMap((r) =>
            verbs.flatMap((verb) =>
              (resourceNames ?? [undefined]).map((name) =>
                rightText({
                  where: role.metadata.namespace ?? '*',
                  resource: qualified(g, r),
                  verb,
                  ...(name === undefined ? {} : { name }),
                }),
              ),
            ),
          ),
        ),
      ]),
    )
    .sort();
}

/** Methods of KubeClient that send a request, and the verbs that it needs. */
export const VERBS: Readonly<Record<string, readonly string[]>> = {
  get: ['get'],
  list: ['list'],
  page: ['list'],
  create: ['create'],
  // What is not there yet is created.
  apply: ['create', 'patch'],
  mergePatch: ['patch'],
  jsonPatch: ['patch'],
  delete: ['delete'],
  reflect: ['list', 'watch'],
  raw: [],
  knock: ['get'],
  stream: ['get'],
};
const MAKERS = ['readMetrics', 'createStatusWriter', 'createElection', 'createEventRecorder'];

/** Where a file speaks to the API: `method argument`, the argument as it is written. */
function sitesIn(file: string): readonly string[] {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      const callee = node.expression;
      const method =
        ts.isPropertyAccessExpression(callee) && /(^|\.|#)(client|kube|transport)$/.test(callee.expression.getText())
          ? callee.name.text
          : callee.getText();
      const isRequest = ts.isPropertyAccessExpression(callee) ? method !== callee.getText() && method in VERBS : false;
      if (isRequest || MAKERS.includes(method)) found.push(`${method} ${argumentOf(node)}`.trim());
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** The resource: the first argument, or its property `resource`. */
function argumentOf({ arguments: [first] }: ts.CallExpression): string {
  if (first === undefined || !ts.isObjectLiteralExpression(first)) return first?.getText() ?? '';
  const resource = first.properties.find((p) => p.name?.getText() === 'resource');
  return resource !== undefined && ts.isPropertyAssignment(resource) ? resource.initializer.getText() : '';
}

/** All of a room's, or of one file's, each once. */
export function requestSites(path: string): readonly string[] {
  const whole = join(ROOT, 'src', path);
  const files = path.endsWith('.ts')
    ? [whole]
    : readdirSync(whole, { recursive: true, encoding: 'utf8' })
        .filter((f) => f.endsWith('.ts'))
        .map((f) => join(whole, f));
  return [...new Set(files.flatMap(sitesIn))].sort();
}
