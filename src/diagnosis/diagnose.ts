/**
 * Diagnoses logs: reads each once, follows it, and ranks what was seen in all of them together.
 * Knows: the order of these steps. Does not know: options, how the answer is printed.
 */
import { BadInput } from "../spec/bad-input.ts";
import type { Diagnosis } from "./diagnosis.ts";
import { attemptInName, findLogs, type LogInput, rankInName } from "./inputs.ts";
import { createObserver } from "./observe.ts";
import { type LogSummary, rankCauses } from "./rank-causes.ts";
import { readLog, readText, Unreadable } from "./reader.ts";
import { createScanner } from "./scan.ts";

export interface DiagnoseOptions {
  /** Files, folders, patterns, and `-` for `stdin`. */
  readonly logs: readonly string[];
  readonly stdin: AsyncIterable<Uint8Array>;
  /** What was passed over, one line each. */
  readonly note: (text: string) => void;
  /** When it aborts, the diagnosis of what has been read so far is returned. */
  readonly signal?: AbortSignal;
}

export interface DiagnosedLogs extends Diagnosis {
  readonly filesRead: number;
  readonly linesRead: number;
  readonly bytesRead: number;
}

/** Throws BadInput when a named log cannot be read, or none of a folder's can. */
export async function diagnoseLogs(options: DiagnoseOptions): Promise<DiagnosedLogs> {
  const inputs = await findLogs(options.logs, options.note);
  const summaries: LogSummary[] = [];
  const total = { filesRead: 0, linesRead: 0, bytesRead: 0 };
  for (const input of inputs) {
    if (options.signal?.aborted) break;
    const one = await follow(input, summaries.length, options);
    if (one === undefined) continue;
    summaries.push(one.summary);
    total.filesRead++;
    total.linesRead += one.lines;
    total.bytesRead += one.bytes;
  }
  if (summaries.length === 0 && inputs.length > 0 && !options.signal?.aborted) {
    throw new BadInput(
      `${options.logs.join(" ")}: none of ${inputs.length} files could be read as a log; name text logs`,
    );
  }
  return { ...rankCauses(summaries), ...total };
}

interface Followed {
  readonly summary: LogSummary;
  readonly lines: number;
  readonly bytes: number;
}

async function follow(
  input: LogInput,
  index: number,
  { stdin, note, signal }: DiagnoseOptions,
): Promise<Followed | undefined> {
  const { name, path, named } = input;
  const observer = createObserver(name, index, path === undefined ? undefined : rankInName(path));
  const scanner = createScanner(observer);
  let bytes = 0;
  try {
    for await (const chunk of path === undefined ? readText(stdin) : readLog(path)) {
      bytes += chunk.length;
      scanner.push(chunk);
      if (signal?.aborted) break;
    }
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    if (bytes === 0) {
      if (named) throw new BadInput(`${name}: ${error.message}; name a log that can be read`);
      note(`${name}: ${error.message}; passed over`);
      return undefined;
    }
    note(`${name}: ${error.message}; read up to line ${scanner.lines()}`);
  }
  scanner.end();
  if (bytes === 0) note(`${name}: is empty`);
  const attempt = path === undefined ? undefined : attemptInName(path);
  return { summary: { ...observer.facts(), attempt }, lines: scanner.lines(), bytes };
}

export interface RankLines {
  readonly name: string;
  readonly rank: number | undefined;
  readonly lines: readonly string[];
}

/** The same diagnosis of lines in memory, as a supervisor keeps the last ones of each rank. */
export function diagnoseLines(logs: readonly RankLines[]): Diagnosis {
  return rankCauses(
    logs.map(({ name, rank, lines }, index) => {
      const observer = createObserver(name, index, rank);
      const scanner = createScanner(observer);
      scanner.push(Buffer.from(`${lines.join("\n")}\n`));
      scanner.end();
      return { ...observer.facts(), attempt: undefined };
    }),
  );
}
