/**
 * `$(NAME)` in the words of a container, as the kubelet puts its environment in (k8s.io/kubernetes
 * third_party/forked/golang/expansion): a name goes to the next `)`, `$$` is a dollar, and a variable that is not there stays
 * as it is written. So does one whose value only the kubelet knows, such as the node's own address: whoever compares such a
 * word with what runs asks `isOpen` or `mayBe`. Called by audit-flags, the targets whose place is a pod, and the node's checks.
 */
export const expand = (text: string, valueOf: (name: string) => string | undefined): string =>
  text.replace(/\$\$|\$\(([^)]*)\)/g, (all, name: string | undefined) =>
    name === undefined ? '$' : (valueOf(name) ?? all),
  );

const VARIABLE = /\$\([^)]*\)/;

/** Holds a variable whose value is not told. */
export const isOpen = (text: string): boolean => VARIABLE.test(text);

/** What runs may be what is said, if the variables that are open in it had the right values. */
export function mayBe(runs: string, said: string): boolean {
  const parts = said.split(VARIABLE).map((p) => p.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return parts.length > 1 && new RegExp(`^${parts.join('.*')}$`, 's').test(runs);
}
