/**
 * Trains a run in its directory and tells it as it happens: what `train` and `run` have in common.
 * Knows: how supervisor, teller and live line are put together. Does not know: options, exit codes.
 */
import { existsSync } from "node:fs";
import { systemErrorCode } from "../host/files.ts";
import { reduce } from "../journal/reduce.ts";
import { initialState, type RunState } from "../journal/state.ts";
import { BadInput } from "../spec/bad-input.ts";
import { readJournal } from "../store/journal-file.ts";
import { runFolders } from "../store/run-directory.ts";
import { checkRunDirectory, superviseRun } from "../supervisor/run.ts";
import type { LoadedRun } from "./load-run.ts";
import { hanging, type Line } from "./render/layout.ts";
import { narrate, progressText } from "./render/narrate.ts";
import { removeRun } from "./start-anew.ts";
import type { Terminal } from "./terminal.ts";

export interface Training {
  readonly run: LoadedRun;
  readonly dir: string;
  /** Lines that introduce the run; printed once it has really begun, so that a refusal stands alone. */
  readonly preface: readonly Line[];
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/** The final state. A run that is finished already is only said to be so. BadInput as superviseRun. */
export async function trainRun({ run, dir, preface, terminal, signal }: Training): Promise<RunState> {
  checkRunDirectory(dir, run);
  const isNew = readJournalState(dir).created === undefined;
  let last: RunState | undefined;
  let beat: NodeJS.Timeout | undefined;
  const showLive = (): void => {
    if (last?.created === undefined) return;
    terminal.live(last.created.steps === 0 ? 0 : last.step / last.created.steps, progressText(last, Date.now() / 1000));
  };
  try {
    const state = await superviseRun({
      run,
      dir,
      signal,
      onEvent(event, after) {
        // What the directory knew before this process is not told again.
        const before = last ?? stateBefore(dir, event.seq);
        if (last === undefined) terminal.print(preface);
        last = after;
        terminal.print(narrate(before, event, after));
        showLive();
        // Time goes on without events too: a hang must be seen to last.
        beat ??= setInterval(showLive, 250);
      },
    });
    if (last === undefined) {
      const said = `${dir}: run ${run.file.name} is finished already; nothing is left to train`;
      terminal.print([...preface, ...hanging("", said, "good")]);
    }
    return state;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined || !isNew || readJournalState(dir).created !== undefined) throw error;
    // Nothing has begun: the place is left as it was.
    removeRun(dir, run.file.name);
    throw new BadInput(`${dir}: the run cannot begin there (${code}); free some space, or choose another --dir`);
  } finally {
    clearInterval(beat);
    terminal.end();
  }
}

function stateBefore(dir: string, seq: number): RunState {
  const { journal } = runFolders(dir);
  return existsSync(journal) ? reduce(readJournal(journal).events.filter((event) => event.seq < seq)) : initialState;
}

function readJournalState(dir: string): RunState {
  return stateBefore(dir, Number.POSITIVE_INFINITY);
}
