/**
 * Reads the date and time that a log line begins with.
 * Knows: the formats of Python, glog, CANN, syslog, dmesg, Slurm and containers. Does not know: time zones (all are taken as one) or what follows.
 */
export interface Stamp {
  /** Seconds since 1970, of one common clock; undefined when the line counts from boot. */
  readonly at: number | undefined;
  /** False when the line leaves the year out; 1970 is assumed. */
  readonly hasYear: boolean;
  readonly length: number;
}

const months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const full =
  /^[[(]?(\d{4})[-/.](\d\d)[-/.](\d\d)[T _-](\d\d):(\d\d):(\d\d)(?:[.,](\d+)(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?[\])]?:?\s?/;
const short = /^(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:[.,](\d+))?\s?/;
const glog = /^\[?[EWIFCD](\d\d?)(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d+))?\s/;
const syslog = /^<?\d*>?([A-Z][a-z]{2})\s{1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d)(?:\.(\d+))?\s/;
const dmesg = /^\[(?:[A-Z][a-z]{2} )([A-Z][a-z]{2})\s{1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})\]\s?/;
const uptime = /^\[\s*\d+\.\d{6}\]\s?/;

/** The stamp at the very start of `text`, or undefined. */
export function stampOf(text: string): Stamp | undefined {
  const first = text.charCodeAt(0);
  // Digits, brackets and capitals begin stamps; most lines fail here.
  if (!((first >= 48 && first <= 57) || first === 91 || first === 40 || first === 60 || (first >= 65 && first <= 90))) {
    return undefined;
  }
  let m = full.exec(text);
  if (m !== null) return stamp(m, m[1], Number(m[2]), m[3], m[4], m[5], m[6], m[7]);
  m = short.exec(text);
  if (m !== null) return stamp(m, undefined, Number(m[1]), m[2], m[3], m[4], m[5], m[6]);
  m = glog.exec(text);
  if (m !== null) return stamp(m, undefined, Number(m[1]), m[2], m[3], m[4], m[5], m[6]);
  m = syslog.exec(text);
  if (m !== null) return stamp(m, undefined, monthOf(m[1]), m[2], m[3], m[4], m[5], m[6]);
  m = dmesg.exec(text);
  if (m !== null) return stamp(m, m[6], monthOf(m[1]), m[2], m[3], m[4], m[5], undefined);
  m = uptime.exec(text);
  return m === null ? undefined : { at: undefined, hasYear: false, length: m[0].length };
}

const monthOf = (name: string | undefined): number => months.indexOf((name ?? "").toLowerCase()) + 1;

function stamp(
  match: RegExpExecArray,
  year: string | undefined,
  month: number,
  ...[day, hour, minute, second, fraction]: (string | undefined)[]
): Stamp | undefined {
  if (month < 1 || month > 12) return undefined;
  const whole = Date.UTC(
    ...([Number(year ?? 1970), month - 1, Number(day), Number(hour), Number(minute), Number(second)] as const),
  );
  const at = whole / 1000 + (fraction === undefined ? 0 : Number(`0.${fraction}`));
  return { at: Number.isFinite(at) ? at : undefined, hasYear: year !== undefined, length: match[0].length };
}
