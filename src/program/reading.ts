/**
 * What one line of a training program says: a step's figures, or what it begins to do.
 * Knows: the shape, numbers as frameworks print them. Does not know: any framework, ranks, time.
 */
import type { WorkerPhase } from "../spec/worker-event.ts";

export interface StepReading {
  readonly says: "step";
  readonly step: number;
  /** As the line states it, the run's last step. */
  readonly total?: number | undefined;
  /** NaN or infinite when the program says so, or when its way of saying so is to leave the loss out; absent: not printed. */
  readonly loss?: number | undefined;
  readonly gradNorm?: number | undefined;
  /** Of one step. */
  readonly seconds?: number | undefined;
  /** Tokens trained on since the run began. */
  readonly consumedTokens?: number | undefined;
  /** Steps since the line before that the program left out by itself, because numbers overflowed or were NaN. */
  readonly skipped?: number | undefined;
  readonly nanSteps?: number | undefined;
}

export interface PhaseReading {
  readonly says: "phase";
  readonly phase: WorkerPhase;
}

export type Reading = StepReading | PhaseReading;
export type ReadLine = (line: string) => Reading | undefined;

/** `1,234.5`, `7.1E+00`, `nan`, `-inf`; undefined for anything else. */
export function number(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const plain = text.trim().replaceAll(",", "");
  if (/^[-+]?nan$/i.test(plain)) return Number.NaN;
  if (/^[-+]?inf(inity)?$/i.test(plain))
    return plain.startsWith("-") ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(plain) ? Number(plain) : undefined;
}

/** A step number that can be counted with; undefined for others. */
export function stepNumber(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,15}$/.test(text)) return undefined;
  return Number(text);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with an escape.
const colours = /\u001b\[[0-9;]*[A-Za-z]/g;

/** The line without colours. */
export const withoutColours = (line: string): string => (line.includes("\u001b") ? line.replace(colours, "") : line);
