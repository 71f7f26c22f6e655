/**
 * Tokens to events: a push-down automaton over the grammar of YAML 1.1. `next` gives one event and looks ahead no
 * further than it must, so that what follows the first document is never read. No recursion: depth costs no stack.
 */
import { Directives, isDirective } from './directives.ts';
import type { Event, Properties } from './events.ts';
import { parserFault } from './fault.ts';
import type { Mark } from './fault.ts';
import type { Scanner } from './scanner.ts';
import type { Token } from './tokens.ts';

type State =
  | 'implicitDocument'
  | 'documentStart'
  | 'documentContent'
  | 'documentEnd'
  | 'blockNode'
  | 'blockSequenceFirst'
  | 'blockSequenceEntry'
  | 'indentlessEntry'
  | 'blockMappingFirst'
  | 'blockMappingKey'
  | 'blockMappingValue'
  | 'flowSequenceFirst'
  | 'flowSequenceEntry'
  | 'flowPairKey'
  | 'flowPairValue'
  | 'flowPairEnd'
  | 'flowMappingFirst'
  | 'flowMappingKey'
  | 'flowMappingValue'
  | 'flowMappingNoValue'
  | 'end';

type NodeKind = { readonly block: boolean; readonly indentless: boolean };
const BLOCK: NodeKind = { block: true, indentless: false };
const BLOCK_OR_INDENTLESS: NodeKind = { block: true, indentless: true };
const FLOW: NodeKind = { block: false, indentless: false };

export class Parser {
  readonly #scanner: Scanner;
  #state: State = 'implicitDocument';
  readonly #return: State[] = [];
  /** Where the open collections began. */
  readonly #opened: Mark[] = [];
  #directives = new Directives();

  constructor(scanner: Scanner) {
    this.#scanner = scanner;
    this.#scanner.take();
  }

  next(): Event {
    switch (this.#state) {
      case 'implicitDocument':
        return this.#documentStart(true);
      case 'documentStart':
        return this.#documentStart(false);
      case 'documentContent':
        return this.#documentContent();
      case 'documentEnd':
        return this.#documentEnd();
      case 'blockNode':
        return this.#node(BLOCK);
      case 'blockSequenceFirst':
        this.#open();
        return this.#blockSequenceEntry();
      case 'blockSequenceEntry':
        return this.#blockSequenceEntry();
      case 'indentlessEntry':
        return this.#indentlessEntry();
      case 'blockMappingFirst':
        this.#open();
        return this.#blockMappingKey();
      case 'blockMappingKey':
        return this.#blockMappingKey();
      case 'blockMappingValue':
        return this.#blockMappingValue();
      case 'flowSequenceFirst':
        this.#open();
        return this.#flowSequenceEntry(true);
      case 'flowSequenceEntry':
        return this.#flowSequenceEntry(false);
      case 'flowPairKey':
        return this.#flowPairKey();
      case 'flowPairValue':
        return this.#flowValue('FlowSequenceEnd', 'flowPairEnd');
      case 'flowPairEnd':
        return this.#flowPairEnd();
      case 'flowMappingFirst':
        this.#open();
        return this.#flowMappingKey(true);
      case 'flowMappingKey':
        return this.#flowMappingKey(false);
      case 'flowMappingValue':
        return this.#flowValue('FlowMappingEnd', 'flowMappingKey');
      case 'flowMappingNoValue':
        return this.#empty('flowMappingKey', this.#peek().start);
      case 'end':
        throw new Error('the parser was asked for an event behind the end');
    }
  }

  #peek(): Token {
    return this.#scanner.peek();
  }

  #take(): Token {
    return this.#scanner.take();
  }

  #open(): void {
    this.#opened.push(this.#take().start);
  }

  #popState(): void {
    this.#state = this.#return.pop() ?? 'end';
  }

  #empty(then: State, at: Mark): Event {
    this.#state = then;
    return { type: 'Scalar', text: '', style: 'plain', implicit: true, tag: '', start: at, end: at };
  }

  #nodeThen(then: State, kind: NodeKind): Event {
    this.#return.push(then);
    return this.#node(kind);
  }

  #closeCollection(type: 'SequenceEnd' | 'MappingEnd'): Event {
    this.#popState();
    this.#opened.pop();
    const { start, end } = this.#take();
    return { type, start, end };
  }

  // Documents.

  #documentStart(implicit: boolean): Event {
    if (!implicit) while (this.#peek().type === 'DocumentEnd') this.#take();
    const first = this.#peek();
    const { start } = first;
    if (first.type === 'StreamEnd') {
      this.#state = 'end';
      this.#take();
      return { type: 'StreamEnd', start, end: first.end };
    }
    const explicit = isDirective(first) || first.type === 'DocumentStart';
    for (let t = this.#peek(); isDirective(t); t = this.#peek()) {
      this.#directives.add(t);
      this.#take();
    }
    this.#return.push('documentEnd');
    if (implicit && !explicit) {
      this.#state = 'blockNode';
      return { type: 'DocumentStart', start, end: first.end };
    }
    const token = this.#peek();
    if (token.type !== 'DocumentStart')
      throw parserFault('YamlSyntax', 'did not find expected <document start>', token.start);
    this.#state = 'documentContent';
    this.#take();
    return { type: 'DocumentStart', start, end: token.end };
  }

  #documentContent(): Event {
    const token = this.#peek();
    switch (token.type) {
      case 'VersionDirective':
      case 'TagDirective':
      case 'DocumentStart':
      case 'DocumentEnd':
      case 'StreamEnd':
        this.#popState();
        return this.#empty(this.#state, token.start);
      default:
        return this.#node(BLOCK);
    }
  }

  #documentEnd(): Event {
    const token = this.#peek();
    const explicit = token.type === 'DocumentEnd';
    if (explicit) this.#take();
    this.#directives = new Directives();
    this.#state = 'documentStart';
    return { type: 'DocumentEnd', start: token.start, end: explicit ? token.end : token.start };
  }

  // Nodes.

  #node(kind: NodeKind): Event {
    const first = this.#peek();
    if (first.type === 'Alias') {
      this.#popState();
      this.#take();
      return { type: 'Alias', name: first.name, start: first.start, end: first.end };
    }
    if (first.type === 'Scalar') {
      this.#popState();
      this.#take();
      const { text, style, start, end } = first;
      return { type: 'Scalar', text, style, implicit: style === 'plain', tag: '', start, end };
    }
    return this.#content(kind, this.#properties(first));
  }

  #properties(first: Token): Properties {
    const { start } = first;
    if (first.type !== 'Anchor' && first.type !== 'Tag') return { tag: '', start, end: start };
    let anchor: string | undefined;
    let tag: string | undefined;
    let end = start;
    for (let t: Token = first; ; t = this.#peek()) {
      if (t.type === 'Anchor' && anchor === undefined) anchor = t.name;
      else if (t.type === 'Tag' && tag === undefined) tag = this.#directives.resolve(t, start);
      else break;
      end = t.end;
      this.#take();
    }
    return { ...(anchor === undefined ? {} : { anchor }), tag: tag ?? '', start, end };
  }

  #content(kind: NodeKind, properties: Properties): Event {
    const token = this.#peek();
    const { tag } = properties;
    if (kind.indentless && token.type === 'BlockEntry') {
      this.#state = 'indentlessEntry';
      return { type: 'SequenceStart', ...properties };
    }
    if (token.type === 'Scalar') {
      this.#popState();
      this.#take();
      const implicit = (tag === '' && token.style === 'plain') || tag === '!';
      return { ...properties, type: 'Scalar', text: token.text, style: token.style, implicit, end: token.end };
    }
    if (token.type === 'FlowSequenceStart') return this.#collection('SequenceStart', 'flowSequenceFirst', properties);
    if (token.type === 'FlowMappingStart') return this.#collection('MappingStart', 'flowMappingFirst', properties);
    if (kind.block && token.type === 'BlockSequenceStart') {
      return this.#collection('SequenceStart', 'blockSequenceFirst', properties);
    }
    if (kind.block && token.type === 'BlockMappingStart') {
      return this.#collection('MappingStart', 'blockMappingFirst', properties);
    }
    if (properties.anchor !== undefined || tag !== '') {
      this.#popState();
      return { type: 'Scalar', ...properties, text: '', style: 'plain', implicit: tag === '' };
    }
    throw parserFault('YamlSyntax', 'did not find expected node content', token.start, properties.start);
  }

  #collection(type: 'SequenceStart' | 'MappingStart', state: State, properties: Properties): Event {
    this.#state = state;
    return { type, ...properties };
  }

  // Block collections.

  #blockSequenceEntry(): Event {
    const token = this.#peek();
    if (token.type === 'BlockEntry') {
      this.#take();
      const next = this.#peek().type;
      if (next === 'BlockEntry' || next === 'BlockEnd') return this.#empty('blockSequenceEntry', token.end);
      return this.#nodeThen('blockSequenceEntry', BLOCK);
    }
    if (token.type === 'BlockEnd') return this.#closeCollection('SequenceEnd');
    throw parserFault('YamlBadIndentation', "did not find expected '-' indicator", token.start, this.#opened.at(-1));
  }

  #indentlessEntry(): Event {
    const token = this.#peek();
    if (token.type !== 'BlockEntry') {
      this.#popState();
      return { type: 'SequenceEnd', start: token.start, end: token.start };
    }
    this.#take();
    const next = this.#peek().type;
    if (next === 'BlockEntry' || endsBlockNode(next)) return this.#empty('indentlessEntry', token.end);
    return this.#nodeThen('indentlessEntry', BLOCK);
  }

  #blockMappingKey(): Event {
    const token = this.#peek();
    if (token.type === 'Key') {
      this.#take();
      if (endsBlockNode(this.#peek().type)) return this.#empty('blockMappingValue', token.end);
      return this.#nodeThen('blockMappingValue', BLOCK_OR_INDENTLESS);
    }
    if (token.type === 'BlockEnd') return this.#closeCollection('MappingEnd');
    throw parserFault('YamlBadIndentation', 'did not find expected key', token.start, this.#opened.at(-1));
  }

  #blockMappingValue(): Event {
    const token = this.#peek();
    if (token.type !== 'Value') return this.#empty('blockMappingKey', token.start);
    this.#take();
    if (endsBlockNode(this.#peek().type)) return this.#empty('blockMappingKey', token.end);
    return this.#nodeThen('blockMappingKey', BLOCK_OR_INDENTLESS);
  }

  // Flow collections.

  /** Passes the comma before every entry but the first. */
  #comma(first: boolean, close: string): void {
    if (first) return;
    const token = this.#peek();
    if (token.type !== 'FlowEntry') {
      throw parserFault('YamlSyntax', `did not find expected ',' or '${close}'`, token.start, this.#opened.at(-1));
    }
    this.#take();
  }

  #flowSequenceEntry(first: boolean): Event {
    if (this.#peek().type !== 'FlowSequenceEnd') {
      this.#comma(first, ']');
      const token = this.#peek();
      if (token.type === 'Key') {
        this.#state = 'flowPairKey';
        this.#take();
        return { type: 'MappingStart', tag: '', start: token.start, end: token.end };
      }
      if (token.type !== 'FlowSequenceEnd') return this.#nodeThen('flowSequenceEntry', FLOW);
    }
    return this.#closeCollection('SequenceEnd');
  }

  #flowPairKey(): Event {
    const token = this.#peek();
    if (token.type !== 'Value' && token.type !== 'FlowEntry' && token.type !== 'FlowSequenceEnd') {
      return this.#nodeThen('flowPairValue', FLOW);
    }
    // The API server takes the token away here, be it the colon or the end: `[?]` and `[? : a]` are refused later on.
    this.#take();
    return this.#empty('flowPairValue', token.end);
  }

  /** The value behind a key in brackets, which may be missing, colon and all. */
  #flowValue(close: 'FlowSequenceEnd' | 'FlowMappingEnd', then: State): Event {
    if (this.#peek().type === 'Value') {
      this.#take();
      const next = this.#peek().type;
      if (next !== 'FlowEntry' && next !== close) return this.#nodeThen(then, FLOW);
    }
    return this.#empty(then, this.#peek().start);
  }

  #flowPairEnd(): Event {
    const { start } = this.#peek();
    this.#state = 'flowSequenceEntry';
    return { type: 'MappingEnd', start, end: start };
  }

  #flowMappingKey(first: boolean): Event {
    if (this.#peek().type !== 'FlowMappingEnd') {
      this.#comma(first, '}');
      const token = this.#peek();
      if (token.type === 'Key') {
        this.#take();
        const next = this.#peek();
        if (next.type !== 'Value' && next.type !== 'FlowEntry' && next.type !== 'FlowMappingEnd') {
          return this.#nodeThen('flowMappingValue', FLOW);
        }
        return this.#empty('flowMappingValue', next.start);
      }
      if (token.type !== 'FlowMappingEnd') return this.#nodeThen('flowMappingNoValue', FLOW);
    }
    return this.#closeCollection('MappingEnd');
  }
}

/** A key or value of a block mapping is empty when one of these comes next. */
const endsBlockNode = (type: Token['type']): boolean => type === 'Key' || type === 'Value' || type === 'BlockEnd';
