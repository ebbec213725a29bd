/**
 * Reads one candidate line: which rules it is evidence for, and for which one most.
 * Knows: rules, families, levels. Does not know: other files, ranks, what happened before or after.
 */
import { aclRule, cannRule, xidRule } from "../catalog/fault-codes.ts";
import type { FaultLayer, FaultRule } from "../catalog/fault-rules.ts";
import { evidenceOf } from "./evidence.ts";
import { readAhead } from "./finder.ts";
import { guessFromName, guessFromWords } from "./guess.ts";
import type { LogLine } from "./line.ts";
import { families, rulesByValue, signatures, strongCharacters } from "./signatures.ts";

export interface Match {
  readonly rule: FaultRule;
  /** The rule's, or the more exact one that the line carries. */
  readonly code: string;
  readonly severity: FaultRule["severity"];
  /** Characters of the body that spoke for the rule: the more, the more specific. */
  readonly weight: number;
  readonly groups: Readonly<Record<string, string | undefined>>;
}

export interface MatchContext {
  /** The lines just before, newest last, to find the other strings of an `all` list in. */
  readonly before: () => string;
  /** What the log speaks of so far. */
  readonly nvidia: boolean;
  readonly ascend: boolean;
}

export const layerOrder: Readonly<Record<FaultLayer, number>> = {
  ...{ hardware: 0, link: 1, host: 2, program: 3, transport: 4 },
  ...{ runtime: 5, collective: 6, peer: 7, exit: 8, echo: 9 },
};
export const severityOrder = { fatal: 0, degraded: 1, notice: 2 } as const;
const encoder = new TextEncoder();

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters may stand within words
const hidden = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/;
/** An exception's name where a prefix may still stand before it. */
const exceptionAnywhere =
  /_?[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Failure|Timeout|Unsupported|Empty|File|Iteration|Invalid|Killed)(?:\(\w+\))?(?::|$)|^Exception\b|\bException:/;

/**
 * False only where no rule of `ids`, whose anchors were hit on the line, can match it, whatever prefixes are taken off:
 * most such lines are healthy, and taking prefixes off costs far more than looking first.
 */
export function mayMatch(raw: string, ids: readonly number[]): boolean {
  // Colours and JSON hide what stands in a line; what an exception's words are read from is not the line itself.
  if (raw.startsWith("{") || raw.includes("what()") || hidden.test(raw)) return true;
  const { anchored } = signatures();
  return ids.some((id) => {
    const anchor = anchored[id];
    if (anchor === undefined) return false;
    if ("family" in anchor)
      return (anchor.family === "exception" ? exceptionAnywhere : families[anchor.family].regex).test(raw);
    const { regex, rule } = anchor.rule;
    if (regex === undefined) return (rule.all ?? []).some((all) => all.some((text) => raw.includes(text.trim())));
    return regex.source.includes("^") || regex.test(raw);
  });
}

/** Whose anchors stand in the text. */
function idsIn(text: string): Set<number> {
  const ids = new Set<number>();
  const bytes = encoder.encode(text);
  const padded = new DataView(new ArrayBuffer(bytes.length + readAhead));
  new Uint8Array(padded.buffer).set(bytes);
  signatures().finder.find(padded, 0, bytes.length, ({ id }) => ids.add(id));
  return ids;
}

/** Every rule that the line is evidence for, the best first; words that are only data match nothing. `ids`: at least all whose anchors stand in its body. */
export function matchesOf(line: LogLine, context: MatchContext, ids: Iterable<number> = idsIn(line.body)): Match[] {
  const { anchored } = signatures();
  const found: Match[] = [];
  for (const id of ids) {
    const anchor = anchored[id];
    if (anchor === undefined) continue;
    const match = "family" in anchor ? byFamily(line, anchor.family) : byRule(line, anchor.rule, context);
    if (match !== undefined && mayApply(match.rule, line, context)) found.push(match);
  }
  return found.sort(
    (a, b) =>
      Number(a.rule.id === "python-RuntimeError") - Number(b.rule.id === "python-RuntimeError") ||
      severityOrder[a.severity] - severityOrder[b.severity] ||
      layerOrder[a.rule.layer] - layerOrder[b.rule.layer] ||
      b.weight - a.weight,
  );
}

function mayApply(rule: FaultRule, line: LogLine, { nvidia, ascend }: MatchContext): boolean {
  if (
    rule.errorOnly &&
    line.level !== "error" &&
    !/^\W*(?:[\w.]+(?:Error|Exception)\b|(?:the )?error\b|(?:fatal|failed)\b)/i.test(line.body)
  ) {
    return rule.platform === "ascend" && /\bE[A-Z]\d{4}\b/.test(line.body);
  }
  if (rule.platform === "ascend" && rule.family === undefined) return ascend || !nvidia;
  if (rule.platform === "nvidia" && rule.family === undefined) return nvidia || !ascend;
  return true;
}

function byFamily(line: LogLine, family: keyof typeof families): Match | undefined {
  const found = families[family].regex.exec(line.body);
  const value = found?.[1];
  if (found === null || value === undefined) return undefined;
  if (family === "exception") return byException(line, found, value);
  const rule = ruleOf(family, value);
  if (rule === undefined) return undefined;
  const match = judge(line, rule, found.index, found[0].length);
  if (match === undefined) return undefined;
  const code = family === "cann-code" ? value : match.code;
  const cleared =
    family === "npu-event" && /\bassert(?:ion)?["']?\s*[:=]\s*["']?0\b|\brecover(?:ed|y)\b|\bresume\b/i.test(line.body);
  // Switches and the NVLink units of newer GPUs say on the line whether it did any harm.
  const harmless =
    (family === "sxid" || family === "xid") && /\bnon-?fatal\b/i.test(line.body) && match.severity === "fatal";
  // A code of the hardware says more than any words around it; an exact code of a library more than most; one of the layers above less.
  const weight =
    family === "xid" || family === "sxid" || family === "npu-event"
      ? 1000
      : family === "cann-code" && !/(?:9999|8888)$/.test(value)
        ? 500
        : 1;
  return { ...match, code, weight, severity: cleared ? "notice" : harmless ? "degraded" : match.severity };
}

/** The rule that lists the code, else what its family's table says of it, else what its family means at all. */
function ruleOf(family: keyof typeof families, value: string): FaultRule | undefined {
  const key = family === "npu-event" ? value.toLowerCase() : family === "xid" ? String(Number(value)) : value;
  const listed = rulesByValue.get(`${family} ${key}`)?.rule;
  if (listed !== undefined) return listed;
  if (family === "xid") return xidRule(key);
  if (family === "acl-return") return aclRule(key);
  const tabled = family === "cann-code" ? cannRule(key) : undefined;
  return tabled ?? rulesByValue.get(`${family} ${key.slice(0, 2)}`)?.rule;
}

/** Names that say nothing of what went wrong. */
const namesOfAnything = new Set([
  "RuntimeError",
  "Exception",
  "SystemError",
  "InternalError",
  "Error",
  "OSError",
  "IOError",
]);

/** An exception's last line begins with its name; a name that nobody listed tells its area by its words, or else is the program's own. */
function byException(line: LogLine, found: RegExpExecArray, path: string): Match | undefined {
  const outer = path.slice(path.lastIndexOf(".") + 1);
  const name = found[2] ?? outer;
  if (/Warning$/.test(name)) return undefined;
  const message = line.body.slice(found.index + found[0].length);
  const listed = rulesByValue.get(`exception ${name}`)?.rule;
  const plain = listed ?? rulesByValue.get("exception Exception")?.rule;
  if (plain === undefined) return undefined;
  const guess = namesOfAnything.has(name)
    ? guessFromWords(message)
    : listed === undefined
      ? (guessFromName(name) ?? guessFromWords(message))
      : undefined;
  const rule: FaultRule = guess === undefined ? plain : { ...plain, ...guess, id: plain.id };
  const match = judge(line, rule, found.index, found[0].length);
  return match && { ...match, code: name, weight: 1 };
}

function byRule(
  line: LogLine,
  { rule, regex }: { rule: FaultRule; regex: RegExp | undefined },
  context: MatchContext,
): Match | undefined {
  if (regex !== undefined) {
    const found = regex.exec(line.body);
    return found === null ? undefined : judge(line, rule, found.index, found[0].length, found.groups);
  }
  for (const all of rule.all ?? []) {
    const where = spot(line.body, all, context.before);
    if (where !== undefined) return judge(line, rule, where.start, where.length);
  }
  return undefined;
}

/** Where the list's first string on this line stands, if all of its strings are here or, the strong ones, just before. */
function spot(
  body: string,
  all: readonly string[],
  before: () => string,
): { start: number; length: number } | undefined {
  let start = Number.POSITIVE_INFINITY;
  let length = 0;
  for (const whole of all) {
    const text = whole.trim();
    const at = body.indexOf(text);
    if (at >= 0) {
      start = Math.min(start, at);
      length += text.length;
    } else if (text.length < strongCharacters || !before().includes(text)) return undefined;
  }
  return Number.isFinite(start) && length >= Math.min(strongCharacters, all[0]?.length ?? 0)
    ? { start, length }
    : undefined;
}

function judge(
  line: LogLine,
  rule: FaultRule,
  start: number,
  length: number,
  groups: Readonly<Record<string, string | undefined>> = {},
): Match | undefined {
  const evidence = evidenceOf(line, start, start + length, {
    indentedIsReport: rule.indented === true || rule.platform === "ascend" || rule.family === "exit-code",
    numbers: rule.category === "numerics",
  });
  if (evidence === "data") return undefined;
  let severity = rule.severity;
  if (severity === "fatal" && !rule.anyLevel && rule.category !== "numerics") {
    if (line.level === "info" || line.level === "debug") return undefined;
    if (line.level === "warning") severity = "degraded";
  }
  if (evidence === "told" && severity === "fatal" && rule.layer !== "exit") severity = "degraded";
  return { rule, code: rule.code, severity, weight: length, groups };
}
