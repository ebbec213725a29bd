/**
 * Turns what a program prints and tells into the same worker events that the embedded engine writes, numbered by the agent.
 * Knows: newest step, who said what, what is odd. Does not know: files, processes, how a line is read (adapters).
 */
import type { ProgramAdapter } from "../spec/program.ts";
import { WorkerEvent } from "../spec/worker-event.ts";
import { readers } from "./adapters.ts";
import { type StepReading, withoutColours } from "./reading.ts";

export interface Note {
  readonly rank: number | null;
  readonly what: string;
  readonly count: number;
  readonly detail: string;
}

/** What an event says beside its header. */
type Saying = WorkerEvent extends infer E
  ? E extends WorkerEvent
    ? Omit<E, "v" | "run" | "epoch" | "rank" | "seq" | "monotonicSeconds">
    : never
  : never;

export interface Translator {
  /** A line of a rank's output. */
  line(rank: number, line: string): WorkerEvent[];
  /** A line that a rank wrote to `DUALGAUGE_EVENTS`. */
  told(rank: number, line: string): WorkerEvent[];
  /** A checkpoint that was found complete. */
  checkpoint(found: { readonly step: number; readonly path: string }): WorkerEvent;
  /** Something odd; told at the 1st, 10th, 100th, … time. */
  note(rank: number | null, what: string, detail: string, times?: number): void;
  /** Newest step of the attempt. */
  readonly step: number;
  /** A rank said by the protocol that it has published a checkpoint. */
  readonly saidCheckpoint: boolean;
}

export function translator(given: {
  readonly run: string;
  readonly epoch: number;
  readonly adapter: ProgramAdapter;
  /** Last step; 0: unknown. */
  readonly steps: number;
  /** Step that the attempt resumed from. */
  readonly step: number;
  readonly monotonicSeconds: () => number;
  readonly onNote: (note: Note) => void;
}): Translator {
  const { run, epoch, adapter, monotonicSeconds, onNote } = given;
  const lastStep = given.steps === 0 ? Number.MAX_SAFE_INTEGER : given.steps;
  const read = readers[adapter];
  const ranks = new Map<number, RankMemory>();
  const counts = new Map<string, number>();
  let newest = given.step;
  let nanAt = 0;
  let saidCheckpoint = false;

  const memory = (rank: number): RankMemory => {
    const known = ranks.get(rank) ?? { seq: 0, toldSeq: 0, step: given.step, at: undefined, consumed: undefined };
    ranks.set(rank, known);
    return known;
  };
  const say = (rank: number, saying: Saying): WorkerEvent =>
    WorkerEvent.parse({
      ...{ v: 1, run, epoch, rank, seq: ++memory(rank).seq, monotonicSeconds: monotonicSeconds() },
      ...saying,
    });
  const note = (rank: number | null, what: string, detail: string, times = 1): void => {
    const key = `${rank} ${what}`;
    const before = counts.get(key) ?? 0;
    const count = before + times;
    counts.set(key, count);
    const magnitude = (value: number): number => (value === 0 ? -1 : Math.floor(Math.log10(value)));
    if (magnitude(count) > magnitude(before)) onNote({ rank, what, count, detail: shown(detail) });
  };
  const stepped = (rank: number, reading: StepReading): WorkerEvent[] => {
    const known = memory(rank);
    const { step } = reading;
    if (step <= known.step) return [];
    if (step > lastStep || (reading.total !== undefined && step > reading.total)) {
      note(rank, "step beyond the last", `step ${step} of ${Math.min(lastStep, reading.total ?? lastStep)}`);
      return [];
    }
    const events = numerics(rank, reading);
    events.push(say(rank, { ev: "step", step, ...figures(known, reading, monotonicSeconds()) }));
    known.step = step;
    newest = Math.max(newest, step);
    // After the last step comes a last save, and then the end.
    if (step >= lastStep || step === reading.total) events.push(say(rank, { ev: "phase", phase: "save", step }));
    return events;
  };
  /** A NaN that the program left out by itself is mended; one in its loss is in its weights by now. */
  const numerics = (rank: number, { step, loss, nanSteps = 0 }: StepReading): WorkerEvent[] => {
    const isBad = loss !== undefined && !Number.isFinite(loss);
    if ((!isBad && nanSteps === 0) || step <= nanAt) return [];
    nanAt = step;
    const detail = isBad
      ? `the loss of step ${step} is ${Number.isNaN(loss) ? "NaN" : loss}`
      : `${nanSteps} NaN steps left out`;
    return [say(rank, { ev: "fault", kind: "nan", step, detail, retried: !isBad })];
  };

  return {
    line(rank, text) {
      const reading = read(withoutColours(text));
      if (reading === undefined) return [];
      if (reading.says === "phase") return [say(rank, { ev: "phase", phase: reading.phase, step: newest })];
      return stepped(rank, reading);
    },
    told(rank, text) {
      const parsed = parseTold(text);
      if ("problem" in parsed) {
        note(rank, "malformed event", `${parsed.problem}: ${text}`);
        return [];
      }
      const { event } = parsed;
      if (event.rank !== rank || event.run !== run) {
        note(rank, "event of somebody else", `run ${event.run}, rank ${event.rank}`);
        return [];
      }
      const known = memory(rank);
      if (event.epoch !== epoch || event.seq <= known.toldSeq) return [];
      known.toldSeq = event.seq;
      if (event.ev === "step") return stepped(rank, { says: "step", ...event });
      if (event.ev === "checkpoint") saidCheckpoint = true;
      if (event.ev === "injected") note(rank, "event that only an emulated pool may write", text);
      if (event.ev === "checkpoint" || event.ev === "injected" || event.ev === "bye" || event.ev === "hello") return [];
      const { v: _v, run: _run, epoch: _epoch, rank: _rank, seq: _seq, monotonicSeconds: _at, ...saying } = event;
      return [say(rank, saying)];
    },
    checkpoint({ step, path }) {
      saidCheckpoint = false;
      return say(0, { ev: "checkpoint", step, tier: "disk", path, seconds: 0 });
    },
    note,
    get step() {
      return newest;
    },
    get saidCheckpoint() {
      return saidCheckpoint;
    },
  };
}

interface RankMemory {
  seq: number;
  toldSeq: number;
  step: number;
  /** Monotonic seconds at which its last step was said. */
  at: number | undefined;
  consumed: number | undefined;
}

/** Figures of one step; a line may cover several. Updates what is remembered of the last line. */
function figures(known: RankMemory, reading: StepReading & { tokens?: number | undefined }, now: number) {
  const { step, loss, gradNorm, consumedTokens } = reading;
  const covered = step - known.step;
  const seconds = reading.seconds ?? (known.at === undefined ? 0 : (now - known.at) / covered);
  const tokens =
    reading.tokens ??
    (consumedTokens === undefined || known.consumed === undefined
      ? undefined
      : (consumedTokens - known.consumed) / covered);
  known.at = now;
  known.consumed = consumedTokens ?? known.consumed;
  return {
    seconds: Number.isFinite(seconds) ? Math.max(0, seconds) : 0,
    ...(loss !== undefined && Number.isFinite(loss) && { loss }),
    ...(gradNorm !== undefined && Number.isFinite(gradNorm) && { gradNorm }),
    ...(tokens !== undefined && Number.isFinite(tokens) && tokens >= 0 && { tokens }),
  };
}

function parseTold(line: string): { event: WorkerEvent } | { problem: string } {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { problem: "is no JSON" };
  }
  const result = WorkerEvent.safeParse(value);
  if (result.success) return { event: result.data };
  const issue = result.error.issues[0];
  return { problem: `${issue?.path.join(".") || "event"}: ${issue?.message ?? "is wrong"}` };
}

/** Short and printable. */
function shown(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out.
  return text.slice(0, 300).replace(/[\u0000-\u001f\u007f-\u009f]/g, "\ufffd");
}
