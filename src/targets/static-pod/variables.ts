/**
 * `$(NAME)` in a container's words, as the kubelet puts its environment in (k8s.io/kubernetes
 * third_party/forked/golang/expansion, and makeEnvironmentVariables of the kubelet). What only the kubelet knows, such as the
 * node's own address, stays as it is written: who compares it with what runs knows it by `isOpen`. Called by server.ts.
 */
import { at, listOf, textOf } from './manifest.ts';
import type { Json } from './manifest.ts';

/** Holds a variable whose value the manifest does not tell. */
export const isOpen = (text: string): boolean => /\$\([^)]*\)/.test(text);

/** `$$` is a dollar; what is not known stays. */
const expand = (text: string, known: ReadonlyMap<string, string>): string =>
  text.replace(/\$\$|\$\(([^)]*)\)/g, (all, name: string | undefined) =>
    name === undefined ? '$' : (known.get(name) ?? all),
  );

/** Each variable may use those above it; one that is read from elsewhere (`valueFrom`) is not known. */
function variablesOf(container: Json | undefined): ReadonlyMap<string, string> {
  const known = new Map<string, string>();
  for (const entry of listOf(at(container, 'env'))) {
    const name = textOf(at(entry, 'name'));
    if (name === undefined) continue;
    if (at(entry, 'valueFrom') === undefined) known.set(name, expand(textOf(at(entry, 'value')) ?? '', known));
    else known.delete(name);
  }
  return known;
}

/** The words as the program gets them. */
export function expanded<W extends { readonly text: string }>(
  words: readonly W[],
  container: Json | undefined,
): readonly W[] {
  const known = variablesOf(container);
  return words.map((w) => ({ ...w, text: expand(w.text, known) }));
}
