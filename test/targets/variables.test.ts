/** `$(NAME)` in words: the kubelet's own cases (third_party/forked/golang/expansion), and what is said of those that are open. */
import { describe, expect, it } from 'vitest';
import { expand, isOpen, mayBe } from '../../src/targets/variables.ts';

const VALUES: ReadonlyMap<string, string> = new Map([
  ['A', 'a'],
  ['B', 'b'],
  ['EMPTY', ''],
  ['DOLLARS', '$$(A)'],
  ['A(B', 'odd'],
]);

describe('a word with variables', () => {
  it.each([
    ['$(A)', 'a'],
    ['--x=$(A)/$(B)$(A)', '--x=a/ba'],
    ['$(EMPTY)', ''],
    ['$(NONE)-$()', '$(NONE)-$()'],
    ['$$(A)', '$(A)'],
    ['$$$(A)', '$a'],
    ['$$$$(A)', '$$(A)'],
    ['$', '$'],
    ['$A $((A) ${A} (A)', '$A $((A) ${A} (A)'],
    ['$(A', '$(A'],
    ['$($(A)', '$($(A)'],
    ['$(A(B))', 'odd)'],
    ['$(A\n)', '$(A\n)'],
    ['$(DOLLARS)', '$$(A)'],
  ])('%j is %j to the program', (text, expanded) => {
    expect(expand(text, (name) => VALUES.get(name))).toBe(expanded);
  });

  it.each([
    ['/var/log/$(NODE)/audit.log', true],
    ['$()', true],
    ['$NODE', false],
    ['$(NODE', false],
    ['a$', false],
  ])('%j is open: %j', (text, open) => {
    expect(isOpen(text)).toBe(open);
  });

  it.each([
    ['/var/log/cp-1/audit.log', '/var/log/$(NODE)/audit.log', true],
    ['/var/log//audit.log', '/var/log/$(NODE)/audit.log', true],
    ['/var/log/a\nb/audit.log', '/var/log/$(NODE)/audit.log', true],
    ['a-b', '$(A)-$(B)', true],
    ['ab', '$(A)-$(B)', false],
    ['/var/log/cp-1/auditXlog', '/var/log/$(NODE)/audit.log', false],
    ['x/var/log/cp-1/audit.log', '/var/log/$(NODE)/audit.log', false],
    ['/var/log/cp-1/audit.log.1', '/var/log/$(NODE)/audit.log', false],
    ['[x]+$', '[$(A)]+$', true],
    ['/same', '/same', false],
  ])('%j may be %j: %j', (runs, said, may) => {
    expect(mayBe(runs, said)).toBe(may);
  });
});
