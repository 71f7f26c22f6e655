/**
 * Times in which API servers may be restarted. Pure: the time is an argument, and the zones' rules come with the
 * runtime. A window opens at a wall-clock time of its zone and lasts so many minutes of real time: on the days when
 * clocks are set it is neither longer nor shorter, and opens exactly once (where that wall-clock time does not exist,
 * as much later as the clocks are set forward; where it comes twice, at its first).
 */
import type { RolloutWindow } from '../api/auditconfig.ts';

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const;
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
/** A window lasts at most a week, so one that opened longer ago is over. */
const LOOK_DAYS = 8;

type Wall = { readonly year: number; readonly month: number; readonly day: number; readonly minutes: number };

/** Milliseconds that this zone's clocks are ahead of UTC, at an instant. */
type Offset = (instant: number) => number;

const FIELDS = { hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric' } as const;

function offsetsOf(timeZone: string): Offset {
  if (timeZone === 'UTC') return () => 0;
  const format = new Intl.DateTimeFormat('en-US', {
    ...{ ...FIELDS, hour: 'numeric', minute: 'numeric', second: 'numeric', era: 'short' },
    timeZone,
  });
  return (instant) => {
    const parts = new Map(format.formatToParts(instant).map((p) => [p.type, Number(p.value)]));
    const at = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0;
    const wall = Date.UTC(at('year'), at('month') - 1, at('day'), at('hour'), at('minute'), at('second'));
    return wall - Math.floor(instant / 1000) * 1000;
  };
}

function instantOf({ year, month, day, minutes }: Wall, offset: Offset): number {
  const wall = Date.UTC(year, month, day) + minutes * MINUTE;
  const [before, after] = [offset(wall - DAY), offset(wall + DAY)];
  const real = [wall - before, wall - after].filter((t) => offset(t) === wall - t);
  return real.length === 0 ? wall - before : Math.min(...real);
}

type Span = { readonly from: number; readonly to: number };

/** The openings of one window around `now`. */
function spansOf(window: RolloutWindow, now: number): readonly Span[] {
  const offset = offsetsOf(window.timeZone ?? 'UTC');
  const [hours = 0, minutes = 0] = window.start.split(':').map(Number);
  const here = new Date(now + offset(now));
  const days = Array.from({ length: 2 * LOOK_DAYS + 1 }, (_, i) => i - LOOK_DAYS);
  return days.flatMap((add) => {
    const date = new Date(Date.UTC(here.getUTCFullYear(), here.getUTCMonth(), here.getUTCDate() + add));
    const weekday = DAYS[date.getUTCDay()];
    const on = window.days === undefined || window.days.length === 0 || window.days.some((d) => d === weekday);
    if (!on) return [];
    const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()];
    const from = instantOf({ year, month, day, minutes: hours * 60 + minutes }, offset);
    return [{ from, to: from + window.durationMinutes * MINUTE }];
  });
}

export type Windowed = { readonly open: true } | { readonly open: false; readonly opensAt: number };

/** No windows: always open. `now` and `opensAt` in ms since the epoch. A zone that is not known throws: the schema refuses it. */
export function windowed(windows: readonly RolloutWindow[] | undefined, now: number): Windowed {
  if (windows === undefined || windows.length === 0) return { open: true };
  const spans = windows.flatMap((w) => spansOf(w, now));
  if (spans.some((s) => s.from <= now && now < s.to)) return { open: true };
  return { open: false, opensAt: Math.min(...spans.map((s) => s.from).filter((from) => from > now)) };
}

/** The next opening, where none is open. */
export function opensAt(windows: readonly RolloutWindow[] | undefined, now: number): number | undefined {
  const w = windowed(windows, now);
  return w.open ? undefined : w.opensAt;
}
