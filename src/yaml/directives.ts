/**
 * What `%YAML` and `%TAG` say at the head of a document, and what the tags in it mean by that. Refuses what the API
 * server's parser refuses: another version than 1.1, and a directive that stands twice. Called by parser.ts.
 */
import { parserFault } from './fault.ts';
import type { Mark } from './fault.ts';
import type { Token } from './tokens.ts';

type Directive = Token & { type: 'VersionDirective' | 'TagDirective' };

const DEFAULT_HANDLES: ReadonlyMap<string, string> = new Map([
  ['!', '!'],
  ['!!', 'tag:yaml.org,2002:'],
]);

export const isDirective = (t: Token): t is Directive => t.type === 'VersionDirective' || t.type === 'TagDirective';

/** Of one document. */
export class Directives {
  readonly #handles = new Map<string, string>();
  #version = false;

  add(t: Directive): void {
    if (t.type === 'TagDirective') {
      if (this.#handles.has(t.handle)) throw parserFault('YamlBadDirective', 'found duplicate %TAG directive', t.start);
      this.#handles.set(t.handle, t.prefix);
      return;
    }
    if (this.#version) throw parserFault('YamlBadDirective', 'found duplicate %YAML directive', t.start);
    if (t.major !== 1 || t.minor !== 1)
      throw parserFault('YamlUnsupportedVersion', 'found incompatible YAML document', t.start);
    this.#version = true;
  }

  /** The tag in full; `context` is where its node begins. */
  resolve(t: Token & { type: 'Tag' }, context: Mark): string {
    if (t.handle === '') return t.suffix;
    const prefix = this.#handles.get(t.handle) ?? DEFAULT_HANDLES.get(t.handle);
    const tag = (prefix ?? '') + (prefix === undefined ? '' : t.suffix);
    if (tag === '') throw parserFault('YamlBadTag', 'found undefined tag handle', t.start, context);
    return tag;
  }
}
