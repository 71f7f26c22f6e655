/**
 * What `loadPolicy` may refuse although the API server loads it: constructs that no one writes, each under a code of
 * its own. Nothing else; every use is counted and printed.
 */
export const MAY_BE_REFUSED: Readonly<Record<string, string>> = {
  PolicyProtobufNotSupported: 'a policy in protobuf, which only programs write',
  YamlNestingTooDeep: 'nested more than 1,000 deep',
  JsonNestingTooDeep: 'nested more than 1,000 deep',
};
