/**
 * Finds what a program said of an error that no rule lists, in the last lines before it ended.
 * Knows: levels, words that report a failure, stacks. Does not know: rules, ranks of causes, whether the end was a failure (observe).
 */
import type { FaultRule } from "../catalog/fault-rules.ts";
import { evidenceOf } from "./evidence.ts";
import { guessFromWords } from "./guess.ts";
import { type LogLine, readLine } from "./line.ts";

export interface LastWords {
  readonly line: LogLine;
  /** Lines from the end of the text: 0 is its last. */
  readonly fromEnd: number;
  readonly rule: FaultRule;
}

const linesMax = 30;
const reports =
  /^(?:(?:fatal|error|failed|failure|panic|abort(?:ed|ing)?|exception|critical|错误|失败|异常)\b|(?:fatal|error|错误|失败|异常)[:：])/i;
const stack =
  /^\s|^(?:Traceback |frame #|Stack |at |#\d+ |\[ ?\d+\] |C\+\+ Traceback|Exception raised from|PC: @|---+|===+)/;

/**
 * The earliest report among the last lines that shows whose area it is, else the earliest.
 * `mustEnd`: only a report that nothing but stacks and other reports follow counts, since nobody says that the program ended.
 */
export function lastWords(text: string, mustEnd: boolean): LastWords | undefined {
  const lines = text.split(/\r?\n|\r/).slice(-linesMax - 1);
  let found: LastWords | undefined;
  for (let i = lines.length - 1; i >= 0; i--) {
    const raw = lines[i] ?? "";
    if (raw.trim() === "") continue;
    const line = readLine(raw);
    if (isReport(line)) {
      const guess = guessFromWords(line.body);
      if (guess !== undefined || found === undefined || found.rule.code === unlisted)
        found = { line, fromEnd: lines.length - 1 - i, rule: ruleOf(guess) };
    } else if (mustEnd && (line.level !== undefined || !stack.test(line.body))) break;
  }
  return found;
}

function isReport(line: LogLine): boolean {
  if (line.level !== "error" && !reports.test(line.body)) return false;
  if (/^\s*(?:#|\d+ )/.test(line.body) || line.level === "info" || line.level === "debug") return false;
  if (/\b(?:0 (?:errors?|failed|failures)|no errors?)\b/i.test(line.body)) return false;
  return evidenceOf(line, 0, 0, { indentedIsReport: false, numbers: false }) === "report";
}

const unlisted = "unlisted-error";

/** Stands above the bare end of a process and below everything that a rule knows. */
const ruleOf = (guess: ReturnType<typeof guessFromWords>): FaultRule => ({
  ...{ id: "last-words", code: guess === undefined ? unlisted : `unlisted-${guess.category}`, platform: "any" },
  ...{ layer: "peer", severity: "fatal", category: guess?.category ?? "workload", action: guess?.action ?? "fix-job" },
  says: guess === undefined ? "the program reported an error and ended" : `${guess.says}, as its last words tell`,
  source: "src/diagnosis/guess.ts",
});
