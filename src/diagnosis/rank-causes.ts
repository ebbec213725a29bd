/**
 * Picks the root cause among everything that was observed: the first, most specific, most fatal, above its echoes.
 * Knows: layers, times, ranks, files. Does not know: how lines are read.
 */
import { absentRank, type Ranks } from "./collectives.ts";
import type { Diagnosis, Finding } from "./diagnosis.ts";
import { layerOrder, severityOrder } from "./match.ts";
import type { LogFacts, Observation } from "./observe.ts";

export interface LogSummary extends LogFacts {
  /** From the path, where launchers keep one folder per attempt. */
  readonly attempt: number | undefined;
}

const findingsMax = 100;
/** A deeper fault may reach the log somewhat later than what it did. */
const slackSeconds = 120;
const slackLines = 3000;
const linesOfReport = 6;
/** Stamps further apart come from different years or clocks and tell nothing. */
const comparableSeconds = 300 * 86_400;
/** Steps of the job so long after a fault on another log's clock show that it was survived. */
const survivedSeconds = 60;
/** Stamps without a year count as those of 1970. */
const yearless = 366 * 86_400;
const beginsFailures = layerOrder.program;

export function rankCauses(logs: readonly LogSummary[]): Diagnosis {
  const attempts = logs.flatMap(({ attempt }) => (attempt === undefined ? [] : [attempt]));
  const last = attempts.length > 0 ? Math.max(...attempts) : undefined;
  const { all, stepAt } = onOneClock(logs);
  const earlier = new Set(
    logs.flatMap((log, index) => (log.attempt !== undefined && log.attempt !== last ? [index] : [])),
  );
  for (const observation of all) {
    if (observation.state !== "live") continue;
    if (earlier.has(observation.file)) observation.state = "earlier";
    else if (survived(observation, stepAt)) observation.state = "recovered";
  }
  const live = withCrashes(all.filter(({ state }) => state === "live"));
  const cause = pick(live);
  const context = { platform: platformOf(logs), ranks: ranksOf(logs), live };
  const rootCause = cause === undefined ? null : findingOfCause(cause, context);
  const rest = all
    .filter((observation) => observation !== cause)
    .sort(byImportance)
    .slice(0, findingsMax)
    .map((observation) => findingOf(observation, context));
  return { rootCause, findings: rootCause === null ? rest : [rootCause, ...rest] };
}

/** Kernels and glog leave the year out: it is that of the logs which tell it. */
function onOneClock(logs: readonly LogSummary[]): { all: Observation[]; stepAt: number | undefined } {
  const times = logs.flatMap(({ observations, stepAt }) => [...observations.map(({ at }) => at), stepAt]);
  const told = latest(times.filter((at) => at !== undefined && at > yearless));
  const year = told === undefined ? undefined : new Date(told * 1000).getUTCFullYear();
  const dated = (at: number | undefined): number | undefined => {
    if (at === undefined || at > yearless || year === undefined) return at;
    const date = new Date(at * 1000);
    return date.setUTCFullYear(year) / 1000;
  };
  const all = logs.flatMap(({ observations }) =>
    observations.map((one) => ({ ...one, at: dated(one.at), lastAt: dated(one.lastAt) })),
  );
  return { all, stepAt: latest(logs.map(({ stepAt }) => dated(stepAt))) };
}

const latest = (times: readonly (number | undefined)[]): number | undefined =>
  times.reduce((a, b) => (a === undefined ? b : b === undefined ? a : Math.max(a, b)), undefined);

/** Ends of processes are not survived by anybody's later steps, since those belong to another log. */
function survived({ lastAt, layer }: Observation, stepAt: number | undefined): boolean {
  if (lastAt === undefined || stepAt === undefined || layer === "exit" || layer === "echo") return false;
  const later = stepAt - lastAt;
  return later > survivedSeconds && later < comparableSeconds;
}

const crashSignals = new Set(["SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGKILL"]);

/**
 * A process that crashed did not do so because its peers lost it: such an end stands with what failed in the program's own runtime.
 * Several that were killed were ended by somebody who had a reason.
 */
function withCrashes(live: readonly Observation[]): Observation[] {
  const crashed = live.filter(({ rule, code }) => rule.family === "exit-code" && crashSignals.has(code));
  const killed = new Set(crashed.filter(({ code }) => code === "SIGKILL").map(({ rank, pid }) => rank ?? pid));
  return live.map((one) =>
    crashed.includes(one) && (one.code !== "SIGKILL" || killed.size === 1) ? { ...one, layer: "runtime" } : one,
  );
}

/** The cause, or undefined where nothing fatal is left. */
function pick(live: readonly Observation[]): Observation | undefined {
  const stops = live.filter(isStop);
  const fatal = live.filter(
    (one) =>
      one.severity === "fatal" &&
      !(
        (layerOrder[one.layer] >= layerOrder.peer || one.rule.family === "exit-code") &&
        stops.some((stop) => stands(stop, one))
      ),
  );
  const spoken = fatal.filter(({ layer }) => layer !== "echo");
  if (spoken.length === 0)
    return fatal.filter(({ layer }) => layer === "echo").reduce<Observation | undefined>(first, undefined);
  const roots = [...spoken.filter(isRoot), ...contributing(live, spoken)];
  const unexplained = spoken.filter(
    (one) => !isRoot(one) && ![...roots, ...spoken].some((other) => explains(other, one)),
  );
  const named = launchersFirst(spoken);
  return [...roots, ...unexplained].reduce<Observation | undefined>((a, b) => first(a, b, named), undefined);
}

/** Somebody ended the whole job; a step alone is also cancelled because one of its tasks failed. */
const isStop = ({ severity, category, evidence, rule }: Observation): boolean =>
  severity === "notice" &&
  category === "preemption" &&
  (rule.id === "slurm-cancelled"
    ? evidence.some(({ text }) => text.includes("JOB"))
    : rule.id === "python-KeyboardInterrupt");

/** Whether `a` stands before `b`, as far as one can tell. */
function stands(a: Observation, b: Observation): boolean {
  if (a.file === b.file) return a.line <= b.line;
  const later = secondsBetween(a, b);
  return later === undefined || later >= -5;
}

const isRoot = ({ layer }: Observation): boolean => layerOrder[layer] <= beginsFailures;

/** What would be harmless alone is the cause of a failure that it can explain, when no graver beginning is known. */
function contributing(live: readonly Observation[], fatal: readonly Observation[]): Observation[] {
  if (fatal.some(isRoot)) return [];
  return live.filter(
    (one) =>
      one.severity === "degraded" &&
      layerOrder[one.layer] <= layerOrder.host &&
      fatal.some((other) => explains(one, other)),
  );
}

/** A cause explains what stands further from the hardware and came no earlier, but for the slack of clocks and buffers. */
function explains(cause: Observation, effect: Observation): boolean {
  if (cause === effect || layerOrder[cause.layer] >= layerOrder[effect.layer]) return false;
  const later = secondsBetween(effect, cause);
  if (later !== undefined) return later <= slackSeconds;
  return cause.file !== effect.file || cause.line - effect.line <= slackLines;
}

/** How much later `b` is than `a`; undefined where their clocks cannot be compared. */
function secondsBetween(a: Observation, b: Observation): number | undefined {
  if (a.at === undefined || b.at === undefined) return undefined;
  const later = b.at - a.at;
  // What has no stamp happened at the last stamp before it or later.
  if ((later > 0 && b.stamped && !a.stamped) || (later < 0 && a.stamped && !b.stamped)) return undefined;
  return Math.abs(later) < comparableSeconds ? later : undefined;
}

/** torchrun and srun name the worker that they saw end first. */
function launchersFirst(fatal: readonly Observation[]): number | undefined {
  const ends = fatal.filter(
    ({ rule, code, rank }) => rule.family === "exit-code" && rank !== undefined && code !== "SIGABRT",
  );
  return ends[0]?.rank;
}

/** The earlier of two; close together, the deeper, then the one that the launcher saw first, then the more specific. */
function first(a: Observation | undefined, b: Observation, named?: number): Observation {
  if (a === undefined) return b;
  const later = secondsBetween(a, b);
  if (later !== undefined && Math.abs(later) > 5) return later > 0 ? a : b;
  if (a.file === b.file) {
    if (Math.abs(a.line - b.line) > 40) return a.line < b.line ? a : b;
    const deeper = depth(a) - depth(b) || coded(b) - coded(a);
    return deeper !== 0 ? (deeper < 0 ? a : b) : a.line <= b.line ? a : b;
  }
  const order =
    depth(a) - depth(b) ||
    coded(b) - coded(a) ||
    Number(b.rank === named && named !== undefined) - Number(a.rank === named && named !== undefined) ||
    (later ?? 0) * -1 ||
    b.weight - a.weight ||
    a.file - b.file;
  return order <= 0 ? a : b;
}

/** A code of the hardware itself says more than what a program was told of it; an exact code of a library, more than words. */
const coded = ({ rule, code }: Observation): number =>
  rule.family === "xid" || rule.family === "sxid" || rule.family === "npu-event"
    ? 2
    : Number(/^E[A-Z]\d{4}$/.test(code) && !code.endsWith("9999"));

const depth = ({ layer }: Observation): number => layerOrder[layer];
const stateOrder = { live: 0, recovered: 1, earlier: 2 } as const;

const byImportance = (a: Observation, b: Observation): number =>
  stateOrder[a.state] - stateOrder[b.state] ||
  severityOrder[a.severity] - severityOrder[b.severity] ||
  depth(a) - depth(b) ||
  a.file - b.file ||
  a.line - b.line;

interface Context {
  readonly platform: Finding["platform"];
  readonly ranks: Ranks;
  readonly live: readonly Observation[];
}

function platformOf(logs: readonly LogSummary[]): Finding["platform"] {
  if (logs.some(({ ascend }) => ascend)) return "ascend";
  return logs.some(({ nvidia }) => nvidia) ? "nvidia" : "unknown";
}

function ranksOf(logs: readonly LogSummary[]): Ranks {
  const seen = new Set(logs.flatMap(({ ranks }) => [...ranks]));
  const sizes = logs.flatMap(({ worldSize }) => (worldSize === undefined ? [] : [worldSize]));
  return { seen, worldSize: sizes.length > 0 ? Math.max(...sizes) : undefined };
}

function findingOf(one: Observation, { platform }: Context): Finding {
  const survivedBy = {
    live: "",
    recovered: "; the job went on after it",
    earlier: "; it belongs to an earlier attempt",
  };
  return {
    platform: one.rule.platform === "any" ? platform : one.rule.platform,
    category: one.category,
    code: one.code,
    action: one.state === "live" ? one.action : "none",
    rank: one.rank ?? null,
    evidence: [...one.evidence],
    why: `${sentence(one, one.rank)}${one.count > 1 ? ` (${one.count} times)` : ""}${survivedBy[one.state]}`,
  };
}

const sentence = ({ says }: Observation, rank: number | undefined): string =>
  rank === undefined ? `${says.slice(0, 1).toUpperCase()}${says.slice(1)}` : `Rank ${rank}: ${says}`;

function findingOfCause(cause: Observation, context: Context): Finding {
  const plain = findingOf(cause, context);
  const others = context.live.filter(
    (one) => one !== cause && one.severity !== "notice" && explains(cause, one),
  ).length;
  const follow = others === 0 ? "" : `; ${others} other finding${others === 1 ? " follows" : "s follow"} from it`;
  if (cause.layer === "collective") return waitedFor(cause, plain, context);
  const rank = cause.rank ?? ranksOfEffects(cause, context);
  return { ...plain, rank: rank ?? null, why: `${sentence(cause, rank)}${follow}` };
}

/** A collective that timed out is the fault of who did not come, not of who waited. */
function waitedFor(cause: Observation, plain: Finding, { live, ranks }: Context): Finding {
  const waits = live.filter(({ layer, severity }) => layer === "collective" && severity === "fatal");
  const absent = absentRank(waits, ranks);
  const evidence = waits.flatMap((wait) => wait.evidence.slice(0, 1)).slice(0, 8);
  if (absent === undefined) {
    const waiting = new Set(waits.map(({ rank }) => rank)).size;
    const who =
      waiting > 1 ? `${waiting} ranks waited and none of them is to blame alone` : "the log does not say for whom";
    return {
      ...plain,
      rank: waiting > 1 || isWatchdog(cause) ? null : plain.rank,
      evidence: waiting > 1 ? evidence : plain.evidence,
      why: `${capital(cause.says)}; ${who}`,
    };
  }
  const how = {
    blamed: "is the one that the others waited for",
    behind: "is behind all others in the order of collectives",
    silent: "is the only one that did not report the timeout",
  };
  return {
    ...plain,
    category: absent.how === "blamed" ? plain.category : "instability",
    rank: absent.rank,
    evidence,
    why: `Rank ${absent.rank} ${how[absent.how]}: ${cause.says}`,
  };
}

const isWatchdog = ({ sequence }: Observation): boolean => sequence !== undefined;
const capital = (text: string): string => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;

/** Kernels do not know ranks: the first process that the fault struck does, or the one with its process id. */
function ranksOfEffects(cause: Observation, { live }: Context): number | undefined {
  const same = live.filter(({ rule, rank }) => rank !== undefined && rule.id === cause.rule.id);
  if (same.length > 0) return only(same);
  if (depth(cause) > layerOrder.host) {
    const ends = live.filter(
      ({ rank, rule, severity }) => rank !== undefined && rule.family === "exit-code" && severity === "fatal",
    );
    // A report of several lines names its rank on one of them.
    const beside = live.filter(
      ({ rank, severity, file, line }) =>
        rank !== undefined &&
        severity === "fatal" &&
        file === cause.file &&
        Math.abs(line - cause.line) <= linesOfReport,
    );
    return only(beside) ?? (cause.layer === "program" && cause.file === ends[0]?.file ? only(ends) : undefined);
  }
  const struck = live.filter(
    (one) => one.rank !== undefined && one.severity === "fatal" && (explains(cause, one) || one.layer === cause.layer),
  );
  const byPid = cause.pid === undefined ? undefined : struck.find(({ pid }) => pid === cause.pid);
  if (byPid !== undefined) return byPid.rank;
  if (cause.category === "memory" && cause.layer === "host")
    return only(struck.filter(({ code }) => code === "SIGKILL"));
  return (
    only(struck.filter(({ layer }) => layer === "runtime" || layer === "hardware")) ??
    only(struck.filter(({ layer }) => layer === "exit"))
  );
}

/** The rank that all of them share. */
function only(observations: readonly Observation[]): number | undefined {
  const ranks = new Set(observations.map(({ rank }) => rank));
  return ranks.size === 1 ? observations[0]?.rank : undefined;
}
