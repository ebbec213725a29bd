/**
 * Says what an exit code or signal that a launcher reports means.
 * Knows: POSIX signals, shells' codes, the words of launchers. Does not know: why the process was ended.
 */
import type { FaultAction, FaultCategory } from "../spec/vocabulary.ts";
import type { Match } from "./match.ts";

export interface ExitMeaning {
  readonly ignore: boolean;
  readonly code: string;
  readonly severity: "fatal" | "notice";
  readonly category: FaultCategory;
  readonly action: FaultAction;
  readonly says: string;
  readonly rank: number | undefined;
  readonly pid: number | undefined;
}

type Kind = Pick<ExitMeaning, "severity" | "category" | "action" | "says">;

const signals: Readonly<Record<string, Kind>> = {
  SIGKILL: {
    ...of("instability", "restart"),
    says: "it was killed from outside, as the kernel does when memory runs out",
  },
  SIGSEGV: { ...of("instability", "restart"), says: "it crashed in native code (segmentation fault)" },
  SIGBUS: {
    ...of("memory", "fix-job"),
    says: "it touched memory that could not be given, most often because /dev/shm is full",
  },
  SIGABRT: { ...of("instability", "restart"), says: "it aborted itself" },
  SIGFPE: { ...of("workload", "fix-job"), says: "it divided by zero in native code" },
  SIGILL: { ...of("software-kit", "fix-job"), says: "it was compiled for another processor" },
  SIGTERM: { ...of("preemption", "none"), severity: "notice", says: "the launcher told it to stop" },
  SIGINT: { ...of("preemption", "none"), severity: "notice", says: "somebody stopped it" },
  SIGHUP: { ...of("preemption", "none"), severity: "notice", says: "its terminal was closed" },
};
function of(category: FaultCategory, action: FaultAction): Omit<Kind, "says"> {
  return { severity: "fatal", category, action };
}

const byNumber: Readonly<Record<number, string>> = {
  ...{
    1: "SIGHUP",
    2: "SIGINT",
    4: "SIGILL",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    9: "SIGKILL",
    11: "SIGSEGV",
    15: "SIGTERM",
  },
};
const byWord: Readonly<Record<string, string>> = {
  ...{
    killed: "SIGKILL",
    "segmentation fault": "SIGSEGV",
    "bus error": "SIGBUS",
    aborted: "SIGABRT",
    terminated: "SIGTERM",
  },
  ...{ "floating point exception": "SIGFPE", "illegal instruction": "SIGILL" },
  ...{ 已杀死: "SIGKILL", 段错误: "SIGSEGV", 总线错误: "SIGBUS", 已放弃: "SIGABRT" },
};

/** `before`: the lines above, in which torchrun's summary names the rank. */
export function exitMeaning(match: Match, before: string): ExitMeaning {
  const { groups } = match;
  const pid = number(groups.pid ?? groups.pid2 ?? groups.pid3);
  const summary =
    groups.exit2 === undefined && groups.sig === undefined
      ? undefined
      : /rank\s+: (\d+)[^\n]*\n(?:[^\n]*\n){0,3}[^\n]*$/.exec(before);
  const rank = number(groups.rank ?? summary?.[1]);
  const word = groups.word ?? groups.word2 ?? groups.word3;
  const exit = number(groups.exit ?? groups.exit2);
  const signal = signalOf(word, exit, number(groups.sig));
  const kind = signal === undefined ? undefined : signals[signal];
  const base = { ignore: false, rank, pid };
  if (signal !== undefined && kind !== undefined) return { ...base, ...kind, code: signal };
  if (word?.toLowerCase() === "out of memory") {
    return {
      ...base,
      ...of("memory", "fix-job"),
      code: "out-of-memory",
      says: "it used more host memory than the scheduler gave it",
    };
  }
  if (exit === undefined || exit === 0)
    return {
      ...base,
      ignore: exit === 0 || pid !== undefined,
      ...of("instability", "restart"),
      code: "worker-end",
      says: "it ended",
    };
  return {
    ...base,
    ...of("workload", "fix-job"),
    code: `exit-${exit}`,
    says: `it ended by itself with exit code ${exit}`,
  };
}

function signalOf(word: string | undefined, exit: number | undefined, sig: number | undefined): string | undefined {
  if (word !== undefined) return word.startsWith("SIG") ? word : byWord[word.toLowerCase()];
  if (sig !== undefined) return byNumber[sig];
  if (exit === undefined) return undefined;
  return byNumber[exit < 0 ? -exit : exit > 128 ? exit - 128 : 0];
}

const number = (text: string | undefined): number | undefined => {
  const value = text === undefined ? Number.NaN : Number.parseInt(text, 10);
  return Number.isNaN(value) ? undefined : value;
};
