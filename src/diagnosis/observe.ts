/**
 * Follows one log from its first line to its last: what was observed, what the program survived, and where a new attempt began.
 * Knows: the order of lines in one log. Does not know: other logs, which observation is the cause (rank-causes).
 */
import type { FaultRule } from "../catalog/fault-rules.ts";
import { type ExitMeaning, exitMeaning } from "./exit-meaning.ts";
import { lastWords } from "./last-words.ts";
import { type LogLine, readLine } from "./line.ts";
import { type Match, matchesOf, mayMatch, severityOrder } from "./match.ts";
import type { LineSink } from "./scan.ts";
import { hit } from "./signatures.ts";

export interface EvidenceLine {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

export interface Observation {
  readonly rule: FaultRule;
  readonly code: string;
  /** The worst of all its lines. */
  severity: FaultRule["severity"];
  readonly category: FaultRule["category"];
  readonly action: FaultRule["action"];
  readonly layer: FaultRule["layer"];
  readonly says: string;
  readonly rank: number | undefined;
  readonly pid: number | undefined;
  readonly at: number | undefined;
  /** False when the line has no stamp of its own, and `at` is that of a line before it. */
  readonly stamped: boolean;
  readonly file: number;
  readonly line: number;
  readonly weight: number;
  readonly evidence: EvidenceLine[];
  /** Of a collective that timed out: which one, and whom the waiting rank blames. */
  readonly sequence: number | undefined;
  readonly blames: number | undefined;
  /** `live`: nothing shows that the job survived it. */
  state: "live" | "recovered" | "earlier";
  count: number;
  lastAt: number | undefined;
}

export interface LogFacts {
  readonly observations: Observation[];
  readonly ranks: Set<number>;
  readonly nvidia: boolean;
  readonly ascend: boolean;
  readonly worldSize: number | undefined;
  readonly steps: number;
  /** Of the last step; on the common clock. */
  readonly stepAt: number | undefined;
}

const observationsMax = 20_000;
const evidenceMax = 3;
const evidenceCharactersMax = 400;
/** Steps after a fault that show that the job survived it; a rank that prints last may add one without. */
const stepsToRecover = 2;
/** Whoever is told that his time is over still makes some. */
const stepsToOutlastNotice = 50;
const barsToRecover = 40;
/** World sizes are read on this many lines; later ones repeat them. */
const worldLinesMax = 200;

const newAttempt =
  /Restarting worker group|will restart worker group|(?:^|[\s=#*\->[(])(?:attempt|restart|relaunch|incarnation|restart[_ ]?count|SLURM_RESTART_COUNT)\s*(?:#|no\.?|number|count)?\s*[:=]?\s*(\d{1,4})\b(?!\s*(?:\/|of)\s*\d+.{0,40}(?:fail|retry))|重新启动训练|(?:restart|relaunch|requeu)(?:ing|ed) (?:the )?(?:job|training|run|worker)/i;
const launchOfOne =
  /Starting elastic_operator|time to initialize megatron|> initializing torch distributed|vLLM API server version|deepspeed\.launcher\.runner|using world size: ?\d+/i;
const world = /(?:world[_ ]size|nproc[_-]per[_-]node)["']?\s*(?:[=:.]+\s*|\s)(\d{1,6})\b|\b\d+\/(\d+) clients joined/i;

export function createObserver(
  name: string,
  file: number,
  fileRank: number | undefined,
): LineSink & { facts(): LogFacts } {
  const observations: Observation[] = [];
  let open = new Map<string, Observation>();
  const ranks = new Set<number>();
  const seen = { nvidia: /nvidia|dmesg|nccl/i.test(name), ascend: /plog|ascend|\bnpu|hccl|cann/i.test(name) };
  let worldSize: number | undefined;
  let worldLines = 0;
  let steps = 0;
  let stepsHere = 0;
  let stepsSinceFault = 0;
  let barsSinceFault = 0;
  let attempt: number | undefined;
  let lossSeen = false;
  let stepAt: number | undefined;
  let year: number | undefined;
  if (fileRank !== undefined) ranks.add(fileRank);

  const close = (state: "recovered" | "earlier"): void => {
    const kept = new Map<string, Observation>();
    for (const [key, observation] of open) {
      if (
        state === "recovered" &&
        isNoticeToQuit(observation) &&
        Math.max(stepsSinceFault, barsSinceFault) < stepsToOutlastNotice
      )
        kept.set(key, observation);
      else observation.state = state;
    }
    open = kept;
    if (kept.size > 0) return;
    stepsSinceFault = 0;
    barsSinceFault = 0;
  };

  const stamp = (line: LogLine): number | undefined => {
    if (line.at === undefined) return undefined;
    if (line.hasYear) year = new Date(line.at * 1000).getUTCFullYear();
    return line.hasYear || year === undefined ? line.at : line.at + (Date.UTC(year, 0) - Date.UTC(1970, 0)) / 1000;
  };

  const add = (line: LogLine, number: number, match: Match, before: () => string): void => {
    const rank = numberOf(match.groups.rank ?? match.groups.rank2) ?? line.rank ?? fileRank;
    const meaning = match.rule.family === "exit-code" ? exitMeaning(match, before()) : undefined;
    if (meaning?.ignore) return;
    const who = meaning?.rank ?? rank;
    if (who !== undefined) ranks.add(who);
    const code = meaning?.code ?? match.code;
    const key = `${code} ${match.rule.id} ${who ?? ""}`;
    const known = open.get(key);
    const evidence = { file: name, line: number, text: line.text.trim().slice(0, evidenceCharactersMax) };
    const own = stamp(line);
    // Of a flood of the same line only some are asked for the stamp before them.
    const asked = known === undefined || known.count < 16 || known.count % 16 === 0;
    const at = own ?? (asked ? timeBefore(before(), stamp) : undefined);
    if (known !== undefined) {
      known.count++;
      const severity = meaning?.severity ?? match.severity;
      if (severityOrder[severity] < severityOrder[known.severity]) known.severity = severity;
      known.lastAt = at ?? known.lastAt;
      if (known.evidence.length < evidenceMax && known.count < 100) known.evidence.push(evidence);
    } else if (observations.length < observationsMax) {
      const observation = observationOf(line, match, meaning, {
        rank: who,
        at,
        stamped: own !== undefined,
        file,
        number,
        evidence,
      });
      open.set(key, observation);
      observations.push(observation);
    }
    stepsSinceFault = 0;
    barsSinceFault = 0;
  };

  /** What was said before an end that tells nothing itself. */
  const addLastWords = (text: string, lastNumber: number, mustEnd: boolean): void => {
    const words = lastWords(text, mustEnd);
    if (words === undefined) return;
    const { line, rule, fromEnd } = words;
    const { code, severity } = rule;
    add(line, lastNumber - fromEnd, { rule, code, severity, weight: 0, groups: {} }, () => "");
  };

  /** True when the line speaks of a fault that is not over. */
  const consider = (number: number, text: () => string, before: () => string, ids: readonly number[]): boolean => {
    const raw = text();
    if (!mayMatch(raw, ids)) return false;
    const line = readLine(raw);
    // What stands in the rest of a line was found when the line was; what was unpacked from it was not.
    const known = raw.trimEnd().endsWith(line.body) ? ids : undefined;
    const [best] = matchesOf(line, { ...seen, before: () => before().slice(-2048) }, known);
    if (best === undefined) return false;
    if (best.rule.recovers !== undefined) {
      for (const [key, observation] of open) {
        if (observation.rule.id !== best.rule.recovers) continue;
        observation.state = "recovered";
        open.delete(key);
      }
      return false;
    }
    if (best.rule.family === "exception" && /Exception ignored in/.test(before().slice(-600))) return false;
    if (saysNothing(best) && ![...open.values()].some(saysSomething)) addLastWords(before(), number, false);
    add(line, number, best, before);
    return best.severity !== "notice";
  };

  const launch = (text: string): void => {
    const explicit = newAttempt.exec(text);
    if (explicit !== null && !/attempts left;? will not|\bretry/i.test(text)) {
      const given = numberOf(explicit[1]);
      const isNew = given === undefined ? true : given > (attempt ?? 0);
      if (given !== undefined) attempt = given;
      if (isNew) beginAttempt();
    } else if (launchOfOne.test(text) && (stepsHere > 0 || [...open.values()].some(endsAttempt))) beginAttempt();
  };
  const beginAttempt = (): void => {
    close("earlier");
    stepsHere = 0;
  };

  const step = (flags: number, number: number, text: () => string, before: () => string): void => {
    if ((flags & hit.megatron) !== 0) {
      if ((flags & hit.loss) !== 0) lossSeen = true;
      else if (lossSeen && lossIsMissing(text())) {
        const line = readLine(text());
        const [match] = matchesOf({ ...line, body: "loss: nan" }, { ...seen, before: () => "" });
        if (match !== undefined) add(line, number, match, before);
        return;
      }
    }
    steps++;
    stepsHere++;
    stepsSinceFault++;
    if (steps % 64 === 1 || stepsSinceFault <= stepsToRecover) stepAt = stamp(readLine(text())) ?? stepAt;
    if (stepsSinceFault >= stepsToRecover && open.size > 0) close("recovered");
  };

  return {
    line(flags, number, text, before, ids) {
      if ((flags & hit.nvidia) !== 0) seen.nvidia = true;
      if ((flags & hit.ascend) !== 0) seen.ascend = true;
      const faulty = (flags & hit.candidate) !== 0 && consider(number, text, before, ids);
      if ((flags & hit.world) !== 0 && worldLines < worldLinesMax) {
        worldLines++;
        const match = world.exec(text());
        const size = numberOf(match?.[1] ?? match?.[2]);
        if (size !== undefined && size > 1) worldSize = Math.max(worldSize ?? 0, size);
      }
      if ((flags & hit.launch) !== 0) launch(text());
      if (faulty) return;
      if ((flags & hit.progress) !== 0) step(flags, number, text, before);
      else if ((flags & hit.bar) !== 0 && ++barsSinceFault >= barsToRecover && open.size > 0) close("recovered");
    },
    tail(text, number) {
      if (![...open.values()].some(({ severity }) => severity === "fatal")) addLastWords(text, number, true);
    },
    facts: () => ({ observations, ranks, ...seen, worldSize, steps, stepAt }),
  };
}

const numberOf = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text));
/** A launcher's report that some process ended. */
const saysNothing = ({ rule, severity }: Match): boolean =>
  severity === "fatal" && (rule.family === "exit-code" || rule.layer === "echo");
const saysSomething = ({ severity, layer }: Observation): boolean =>
  severity === "fatal" && layer !== "exit" && layer !== "echo";
const isNoticeToQuit = ({ category, severity }: Observation): boolean =>
  category === "preemption" && severity === "fatal";
const endsAttempt = (observation: Observation): boolean => observation.layer === "exit" || observation.layer === "echo";

/** Megatron leaves a loss out that is not above zero, as NaN is not; a skipped step has none either. */
const lossIsMissing = (text: string): boolean => !/number of skipped iterations:\s+[1-9]/.test(text) && /\|/.test(text);

function timeBefore(before: string, stamp: (line: LogLine) => number | undefined): number | undefined {
  const lines = before.split("\n").slice(-40);
  for (const text of lines.reverse()) {
    const at = stamp(readLine(text));
    if (at !== undefined) return at;
  }
  return undefined;
}

function observationOf(
  line: LogLine,
  match: Match,
  meaning: ExitMeaning | undefined,
  where: {
    rank: number | undefined;
    at: number | undefined;
    stamped: boolean;
    file: number;
    number: number;
    evidence: EvidenceLine;
  },
): Observation {
  const { rule } = match;
  const sequence = /SeqNum=(\d+)|(?:Timeout at (?:NCCL work|collective)): (\d+)/.exec(line.body);
  const blames =
    /remote rank:?\s*\[?(\d+)/i.exec(line.body) ??
    /\b(?:waiting (?:for|on)|no response from|stuck (?:rank|on rank)) rank (\d+)/i.exec(line.body) ??
    /\btask:(\d+) heartbeat time|\bThe node: ?(\d+) is timed out/.exec(line.body);
  return {
    ...{ rule, code: meaning?.code ?? match.code, severity: meaning?.severity ?? match.severity },
    ...{ category: meaning?.category ?? rule.category, action: meaning?.action ?? rule.action, layer: rule.layer },
    ...{
      says: meaning?.says ?? rule.says,
      rank: where.rank,
      pid: meaning?.pid ?? numberOf(match.groups.pid) ?? line.pid,
    },
    ...{
      at: where.at,
      stamped: where.stamped,
      lastAt: where.at,
      file: where.file,
      line: where.number,
      weight: match.weight,
    },
    ...{
      evidence: [where.evidence],
      sequence: numberOf(sequence?.[1] ?? sequence?.[2]),
      blames: numberOf(blames?.[1] ?? blames?.[2]),
    },
    ...{ state: "live", count: 1 },
  };
}
