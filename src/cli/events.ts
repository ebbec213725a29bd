/**
 * `dualgauge events`: a run's journal, told in words or given as it is, and followed while it grows.
 * Knows: the journal file. Does not know: who writes it.
 */
import { setTimeout as wait } from "node:timers/promises";
import type { Command } from "commander";
import { tail } from "../host/tail.ts";
import { parseEvent, type RunEvent } from "../journal/event.ts";
import { reduce } from "../journal/reduce.ts";
import { initialState, type RunState } from "../journal/state.ts";
import { readJournal } from "../store/journal-file.ts";
import { runFolders } from "../store/run-directory.ts";
import { onInterrupt } from "./interrupt.ts";
import { printDocument, words } from "./output.ts";
import { narrate } from "./render/narrate.ts";
import { existingRun } from "./run-place.ts";

interface Options {
  readonly dir?: string;
  readonly follow?: true;
  readonly json?: true;
}

export function register(program: Command): void {
  program
    .command("events")
    .description("tell what happened in a run, and with --follow what happens until it is over")
    .argument("<run>", "a run's directory, or its run.yaml")
    .option("--dir <dir>", "the run's directory, when a run.yaml is named (default: runs/<name>)")
    .option("-f, --follow", "go on until the run is finished or has failed")
    .option("--json", "print the events: one JSON document, or one event a line with --follow")
    .addHelpText("after", "\nExample:\n  dualgauge events runs/two-gauges --follow")
    .action(events);
}

const pollSeconds = 0.2;

async function events(given: string, options: Options): Promise<void> {
  const { journal } = runFolders(existingRun(given, options.dir));
  if (options.json && !options.follow) {
    printDocument({ events: readJournal(journal).events });
    return;
  }
  const terminal = words({});
  let state = initialState;
  const show = (event: RunEvent): void => {
    const before = state;
    state = reduce([event], state);
    if (options.json) process.stdout.write(`${JSON.stringify(event)}\n`);
    else terminal.print(narrate(before, event, state));
  };
  const interrupt = onInterrupt();
  const growth = tail(journal);
  try {
    for (;;) {
      for (const event of newEvents(growth.read(), state, journal)) show(event);
      if (!options.follow || isOver(state)) return;
      await wait(pollSeconds * 1000, undefined, { signal: interrupt.signal });
    }
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    process.exitCode = 130;
  } finally {
    growth.close();
    interrupt.dispose();
  }
}

/** The events in `lines`; where a line does not go on from `state` (a torn one was cut off) the file is read anew. */
function newEvents(lines: readonly string[], state: RunState, journal: string): readonly RunEvent[] {
  const parsed: RunEvent[] = [];
  for (const line of lines) {
    const event = parseLine(line);
    if (event?.seq !== state.seq + parsed.length + 1) return readJournal(journal).events.slice(state.seq);
    parsed.push(event);
  }
  return parsed;
}

function parseLine(line: string): RunEvent | undefined {
  try {
    const parsed = parseEvent(JSON.parse(line));
    return "event" in parsed ? parsed.event : undefined;
  } catch {
    return undefined;
  }
}

const isOver = ({ phase }: RunState): boolean => phase === "finished" || phase === "failed";
