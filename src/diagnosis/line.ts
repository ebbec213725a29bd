/**
 * Takes one line of a log apart: who wrote it, when, how loudly, and what is left to read.
 * Knows: the prefixes of launchers, schedulers, loggers and kernels. Does not know: what any text means.
 */
import { stampOf } from "./timestamp.ts";

export type Level = "debug" | "info" | "warning" | "error";

export interface LogLine {
  /** Without colours and control characters; what is shown as evidence. */
  readonly text: string;
  /** Without prefixes; leading blanks beyond the first tell code from speech and are kept. */
  readonly body: string;
  readonly level: Level | undefined;
  readonly rank: number | undefined;
  readonly pid: number | undefined;
  /** Seconds on the common clock of the logs (see Stamp). */
  readonly at: number | undefined;
  readonly hasYear: boolean;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control characters
const ansi = /\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal must not be commanded by a log
const control = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g;
const controlled = new RegExp(control.source);

const levelNames: Readonly<Record<string, Level>> = {
  ...{ TRACE: "debug", DEBUG: "debug", INFO: "info", NOTICE: "info", EVENT: "info" },
  ...{ WARN: "warning", WARNING: "warning", ERROR: "error", ERR: "error", CRITICAL: "error", FATAL: "error" },
  ...{ E: "error", F: "error", C: "error", W: "warning", I: "info", D: "debug" },
};
const levelWord = "(TRACE|DEBUG|INFO|NOTICE|EVENT|WARN(?:ING)?|ERR(?:OR)?|CRITICAL|FATAL)";

/** Each is tried at the start of what is left, until none fits. */
const rankPrefix =
  /^\[?(?:default|rank|Rank )(\d{1,6})\]?:(?:\[|\s|$)?|^(?:\[rank |\[Rank )(\d{1,6})\]\s?|^(\d{1,5}): /;
/** Open MPI's `--tag-output`, as it is or as SageMaker passes it on: job and rank. */
const mpiPrefix = /^\[\d+,(?:mpirank:)?(\d+)(?:,[\w.-]+)?\]<std(?:out|err)>:\s?/;
/** Consoles that put stamps into a column of a table. */
const columnPrefix = /^\s*\|\s(?=\d{4}-\d\d-\d\d)|^\|\s|^[a-z][\w.-]*-\d+\s+\|\s/;
/** A component that names itself before its level. */
const componentPrefix =
  /^\[[A-Za-z][\w. -]{1,30}\]\s?(?=\[(?:TRACE|DEBUG|INFO|WARN(?:ING)?|ERR(?:OR)?|CRITICAL|FATAL)\])/;
/** What a native exception says when nobody catches it. */
const nativeWords = /^\s*(?:what\(\):\s+)+/;
/** SGLang's: the rank stands beside the time. */
const schedulerPrefix = /^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d((?: [A-Z]{2}\d+)+)\]/;
/** A progress bar that was not ended before somebody else wrote. */
const barPrefix = /^[^|]{0,200}\d{1,3}%\|[^|]{0,200}\|[^[\]]{0,80}\[[^\]]{0,120}\]\s*(?=\S)/;
const actorPrefix =
  /^\((?:[A-Za-z_][\w.]*)(?:\([\w.-]+\))?(?:\s+rank=(\d+)|\s+[A-Z]{2,3}\d+)?(?:\s+pid=(\d+))?(?:,\s*ip=[\w.:-]+)?\)\s/;
const hostPrefix = /^(?!E[A-Z]\d{4}|E\d{5}|[\w.]*(?:Error|Exception))(?:[a-zA-Z][\w.-]*\d[\w.-]*):\s(?=\S)/;
const syslogHost = /^[\w.-]+ (?:kernel|nv-fabricmanager|nvidia-persistenced|systemd|slurmd|kubelet)(?:\[\d+\])?:\s?/;
const levelPrefix = new RegExp(`^[[(<]?${levelWord}[\\])>]?(?:[:|]|\\s|(?=\\d{4}-))\\s?`);
const dashLevel = new RegExp(`^\\s?[-|]\\s?(?:[\\w.:]+\\s?[-|]\\s?)?${levelWord}\\s*[-|:]?\\s`);
const glogLevel = /^\[?([EWIFCD])\d{3,4} \d\d:\d\d:\d\d/;
const glogRest = /^(?:\d+ )?[\w./<>-]+\.(?:cpp|cc|h|py|ts|cu):\d+\]\s?/;
const torchLevel = /^\[([EWI]) [\w./]+\.(?:cpp|cc|h|py|hpp):\d+\]\s?/;
const plogModule = /^[A-Z][A-Z_0-9]*\((\d+),[^)]*\):\s?(?=\d{4}-)/;
const plogFile = /^\[[\w./-]+\.(?:cc|cpp|h|c|py):\d+\](?:\s?\[?\d+\]?)?\s?/;
const pythonFile = /^(?:\[[\w./-]+\.py:\d+(?::\w+)?\]|[\w./-]+\.py:\d+\]|[\w./-]+\.py:\d+ -)\s?/;
const container = /^(?:stderr|stdout) [FP] /;
const kernelTag = /^kernel:\s?(?:\[\s*\d+\.\d+\]\s?)?/;
const slurmTag = /^(?:slurmstepd(?:-\S+)?|srun|slurmd|salloc|sbatch): (?=error|fatal)/;

/** Longer than any honest message; the rest of a line is data. */
const readCharactersMax = 4096;

export function readLine(raw: string): LogLine {
  const read = raw.length > readCharactersMax ? raw.slice(0, readCharactersMax) : raw;
  const text = (controlled.test(read) ? read.replace(ansi, "").replace(control, "") : read).trimEnd();
  const state: Parts = { rank: undefined, pid: undefined, level: undefined, at: undefined, hasYear: false };
  const unwrapped = unwrap(text, state);
  let body = unwrapped.includes("%|") ? unwrapped.replace(barPrefix, "") : unwrapped;
  body = stripAll(body, state);
  const native = nativeWords.exec(body);
  if (native !== null) {
    body = stripAll(body.slice(native[0].length), state);
    if (!/^[\w.:]+(?:Error|Exception)\b/.test(body)) body = `RuntimeError: ${body}`;
    state.level = "error";
  }
  if (/^NCCL WARN|\bNCCL WARN\b/.test(body)) state.level = "error";
  else if (/\bNCCL (?:INFO|TRACE)\b/.test(body)) state.level = "info";
  else if (slurmTag.test(body) || /^(?:error|fatal): /i.test(body)) state.level ??= "error";
  state.rank ??= rankInside(body);
  return { ...state, text, body };
}

interface Parts {
  rank: number | undefined;
  pid: number | undefined;
  level: Level | undefined;
  at: number | undefined;
  hasYear: boolean;
}

/** Container runtimes and structured loggers put the line into JSON. */
function unwrap(text: string, state: Parts): string {
  if (!text.startsWith("{") || !text.endsWith("}")) return text;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return text; // A Python dictionary or cut-off data: read as it stands.
  }
  if (typeof parsed !== "object" || parsed === null) return text;
  const fields = new Map<string, unknown>(Object.entries(parsed));
  const log = fields.get("log");
  if (typeof log === "string" && fields.has("stream")) return log.trimEnd();
  const level = fields.get("level") ?? fields.get("levelname") ?? fields.get("severity");
  const told = fields.get("msg") ?? fields.get("message");
  if (typeof level !== "string" || typeof told !== "string") return text;
  const message = causeOf(fields) ?? told;
  state.level = levelNames[level.toUpperCase()];
  const time = fields.get("time") ?? fields.get("ts") ?? fields.get("timestamp") ?? fields.get("asctime");
  const stamp = typeof time === "string" ? stampOf(time) : undefined;
  if (stamp !== undefined) Object.assign(state, { at: stamp.at, hasYear: stamp.hasYear });
  const rank = fields.get("rank");
  if (typeof rank === "number" && Number.isSafeInteger(rank) && rank >= 0) state.rank = rank;
  return message;
}

/** What a structured logger says of the exception beside its message: of a traceback, the line that names it. */
function causeOf(fields: ReadonlyMap<string, unknown>): string | undefined {
  for (const key of ["exc_info", "exception", "traceback", "stacktrace", "stack_trace", "stack", "error", "err"]) {
    const value = fields.get(key);
    if (typeof value !== "string" || value.trim() === "") continue;
    const lines = value.split("\n").filter((line) => /^\S/.test(line) && !/^Traceback /.test(line));
    return lines.find((line) => /^[\w.]+(?:Error|Exception|Interrupt)\b/.test(line)) ?? lines[0] ?? value;
  }
  return undefined;
}

function stripAll(text: string, state: Parts): string {
  let body = text;
  for (let round = 0; round < 10; round++) {
    const rest = strip(body, state);
    if (rest === body) break;
    body = rest;
  }
  return body;
}

function strip(text: string, state: Parts): string {
  let body = text;
  const glogMatch = glogLevel.exec(body);
  if (glogMatch !== null) state.level ??= levelNames[glogMatch[1] ?? ""];
  const scheduler = schedulerPrefix.exec(body);
  if (scheduler !== null) {
    state.rank ??= actorRank(scheduler[1] ?? "");
    body = `${body.slice(0, 20)}]${body.slice(scheduler[0].length)}`;
  }
  const stamp = stampOf(body);
  if (stamp !== undefined) {
    if (state.at === undefined && stamp.at !== undefined)
      Object.assign(state, { at: stamp.at, hasYear: stamp.hasYear });
    return body.slice(stamp.length).replace(glogRest, "");
  }
  const rank = rankPrefix.exec(body);
  if (rank !== null) {
    state.rank ??= Number(rank[1] ?? rank[2] ?? rank[3]);
    // Whoever relays the line of a rank does not say how grave it is.
    if (rank[1] !== undefined && state.level === "info") state.level = undefined;
    return body.slice(rank[0].endsWith("[") ? rank[0].length - 1 : rank[0].length);
  }
  const mpi = mpiPrefix.exec(body);
  if (mpi !== null) {
    state.rank ??= Number(mpi[1]);
    return body.slice(mpi[0].length);
  }
  const actor = actorPrefix.exec(body);
  if (actor !== null) {
    state.rank ??= actor[1] === undefined ? actorRank(actor[0]) : Number(actor[1]);
    if (actor[2] !== undefined) state.pid ??= Number(actor[2]);
    return body.slice(actor[0].length);
  }
  const torch = torchLevel.exec(body);
  if (torch !== null) {
    state.level ??= levelNames[torch[1] ?? ""];
    return body.slice(torch[0].length);
  }
  const level = levelPrefix.exec(body) ?? dashLevel.exec(body);
  if (level !== null) {
    state.level ??= levelNames[level[1] ?? ""];
    return body.slice(level[0].length);
  }
  const plog = plogModule.exec(body);
  if (plog !== null) state.pid ??= Number(plog[1]);
  for (const prefix of [
    columnPrefix,
    componentPrefix,
    plogModule,
    plogFile,
    pythonFile,
    container,
    syslogHost,
    kernelTag,
    hostPrefix,
  ]) {
    const match = prefix.exec(body);
    if (match !== null && match[0].length > 0) return body.slice(match[0].length);
  }
  return body;
}

const inside = [
  /^(?:srun: )?error: \S+: tasks? (\d+)(?:: |,|-)/,
  /\bRankID:(\d+)/,
  /\[(?:PG [^\]]*?)?Rank (\d+)\]/,
  /^Rank:? ?(\d+)\b/,
  /(?<!remote |peer |from |with |to |dst |src |root )\b(?:global )?rank[ =:]\s?\[?(\d{1,6})\b/i,
];

function rankInside(body: string): number | undefined {
  for (const pattern of inside) {
    const match = pattern.exec(body);
    if (match !== null) return Number(match[1]);
  }
  return undefined;
}

/** Of `Worker_DP0_TP6_EP6`: an expert-parallel rank counts all workers, a tensor-parallel one those of the first replica and stage. */
function actorRank(prefix: string): number | undefined {
  const of = (kind: string): number | undefined => {
    const found = new RegExp(`(?:^|[^A-Za-z])${kind}_?(\\d+)`).exec(prefix);
    return found === null ? undefined : Number(found[1]);
  };
  const expert = of("EP");
  if (expert !== undefined) return expert;
  const [tensor, data, stage] = [of("TP"), of("DP"), of("PP")];
  if (tensor !== undefined) return (data ?? 0) === 0 && (stage ?? 0) === 0 ? tensor : undefined;
  return data ?? of("[Rr]ank") ?? of("Worker");
}
