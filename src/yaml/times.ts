/** Times as Go's time.Parse reads them, with its leniency: a comma before the fraction, offsets up to 24:60. */

const ZONE = '(?:Z|[+-](?<zoneHour>\\d{2}):(?<zoneMinute>\\d{2}))';
const FRACTION = '(?:[.,]\\d+)?';
const SHORT_DATE = '(?<year>\\d{4})-(?<month>\\d{1,2})-(?<day>\\d{1,2})';
const SHORT_CLOCK = `(?<hour>\\d{1,2}):(?<minute>\\d{1,2}):(?<second>\\d{1,2})${FRACTION}`;

/** Layout RFC 3339; hours may have one digit. */
const RFC3339 = new RegExp(
  `^(?<year>\\d{4})-(?<month>\\d{2})-(?<day>\\d{2})T(?<hour>\\d{1,2}):(?<minute>\\d{2}):(?<second>\\d{2})${FRACTION}${ZONE}$`,
);
/** What go.yaml.in/yaml takes for a timestamp. */
const YAML_LAYOUTS = [
  new RegExp(`^${SHORT_DATE}[Tt]${SHORT_CLOCK}${ZONE}$`),
  new RegExp(`^${SHORT_DATE} +${SHORT_CLOCK}$`),
  new RegExp(`^${SHORT_DATE}$`),
];

function daysIn(month: number, year: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

function matches(layout: RegExp, text: string): boolean {
  const groups = layout.exec(text)?.groups;
  if (groups === undefined) return false;
  const part = (name: string): number => Number(groups[name] ?? 0);
  const month = part('month');
  if (month < 1 || month > 12 || part('day') < 1 || part('day') > daysIn(month, part('year'))) return false;
  if (part('hour') > 23 || part('minute') > 59 || part('second') > 59) return false;
  return part('zoneHour') <= 24 && part('zoneMinute') <= 60;
}

/** metav1.Time. */
export const isRfc3339 = (text: string): boolean => matches(RFC3339, text);

/** A scalar with the tag `!!timestamp` must be one; without the tag it stays a string anyway. */
export const isYamlTimestamp = (text: string): boolean => YAML_LAYOUTS.some((layout) => matches(layout, text));
