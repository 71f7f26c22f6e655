/**
 * How deep a text could nest at most, told before it is given to a recursive YAML parser: near the end of the stack V8
 * may end the whole process (its RegExp compiler does), which no `catch` sees. Too careful rather than exact: brackets
 * in strings count too. Called by whoever uses the npm parser on texts of others; our own reader has its own limit.
 */

/** The npm parser overflows the default stack at about 800; what people write nests less than 30 deep. */
const MAX_NESTING = 400;

/** Whether the text may nest deeper than any manifest, AuditConfig or kubeconfig does. Linear in its length. */
export function mayNestTooDeep(text: string): boolean {
  let open = 0;
  let prefix = 0;
  let atStart = true;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x0a || c === 0x0d) {
      prefix = 0;
      atStart = true;
    } else {
      if (c === 0x5b || c === 0x7b) open++;
      else if ((c === 0x5d || c === 0x7d) && open > 0) open--;
      // A block collection takes at least one column of indentation or one indicator (`- - -`) a level.
      atStart &&= c === 0x20 || c === 0x09 || c === 0x2d || c === 0x3f || c === 0x3a;
      if (atStart) prefix++;
    }
    if (open + prefix > MAX_NESTING) return true;
  }
  return false;
}
