/**
 * Trains a run in its directory and tells it as it happens: what `train` and `run` have in common.
 * Knows: how supervisor, teller and live line are put together. Does not know: options, exit codes.
 */
import { existsSync } from "node:fs";
import { reduce } from "../journal/reduce.ts";
import { initialState, type RunState } from "../journal/state.ts";
import { readJournal } from "../store/journal-file.ts";
import { runFolders } from "../store/run-directory.ts";
import { superviseRun } from "../supervisor/run.ts";
import type { LoadedRun } from "./load-run.ts";
import { hanging } from "./render/layout.ts";
import { narrate, progressText } from "./render/narrate.ts";
import type { Terminal } from "./terminal.ts";

export interface Training {
  readonly run: LoadedRun;
  readonly dir: string;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/** The final state. A run that is finished already is only said to be so. BadInput as superviseRun. */
export async function trainRun({ run, dir, terminal, signal }: Training): Promise<RunState> {
  let last: RunState | undefined;
  let beat: NodeJS.Timeout | undefined;
  const showLive = (): void => {
    if (last?.created === undefined) return;
    terminal.live(last.step / last.created.steps, progressText(last, Date.now() / 1000));
  };
  try {
    const state = await superviseRun({
      run,
      dir,
      signal,
      onEvent(event, after) {
        // What the directory knew before this process is not told again.
        const before = last ?? stateBefore(dir, event.seq);
        last = after;
        terminal.print(narrate(before, event, after));
        showLive();
        // Time goes on without events too: a hang must be seen to last.
        beat ??= setInterval(showLive, 250);
      },
    });
    if (last === undefined) {
      terminal.print(hanging("", `${dir}: run ${run.file.name} is finished already; nothing is left to train`, "good"));
    }
    return state;
  } finally {
    clearInterval(beat);
    terminal.end();
  }
}

function stateBefore(dir: string, seq: number): RunState {
  const { journal } = runFolders(dir);
  if (!existsSync(journal)) return initialState;
  return reduce(readJournal(journal).events.filter((event) => event.seq < seq));
}
