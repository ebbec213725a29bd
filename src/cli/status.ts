/**
 * `dualgauge status`: where a run stands, while it goes, after it, and after its supervisor was killed.
 * Knows: the journal and which of the named processes live. Does not know: how either came about.
 */
import type { Command } from "commander";
import { processStatus } from "../host/processes.ts";
import { type NoteReport, type StatusDocument, statusDocument } from "../journal/select.ts";
import type { RunState } from "../journal/state.ts";
import { readJournal } from "../store/journal-file.ts";
import { leaseHolder } from "../store/lease.ts";
import { runFolders } from "../store/run-directory.ts";
import { printDocument, words } from "./output.ts";
import { hanging, type Line, line } from "./render/layout.ts";
import { progressText } from "./render/narrate.ts";
import { faultTable, outcome } from "./render/outcome.ts";
import { count, seconds } from "./render/quantities.ts";
import { existingRun } from "./run-place.ts";

export function register(program: Command): void {
  program
    .command("status")
    .description("say where a run stands: while it goes, after it, and after its supervisor was killed")
    .argument("<run>", "a run's directory, or its run.yaml")
    .option("--dir <dir>", "the run's directory, when a run.yaml is named (default: runs/<name>)")
    .option("--json", "print one JSON document")
    .addHelpText("after", "\nExample:\n  dualgauge status runs/two-gauges")
    .action((given: string, options: { dir?: string; json?: true }) => {
      const place = existingRun(given, options.dir);
      const { state } = readJournal(runFolders(place).journal);
      const now = Date.now() / 1000;
      const document = living(statusDocument(state, isOver(state) ? undefined : now), place);
      if (options.json) printDocument(document);
      else words(options).print(report(state, document, place, now));
    });
}

const isOver = (state: RunState): boolean => state.phase === "finished" || state.phase === "failed";

/** The document without a supervisor and workers that are dead; the journal only says that they once started. */
function living(document: StatusDocument, place: string): StatusDocument {
  const supervisor = leaseHolder(place) ?? null;
  const workers = document.workers.filter((worker) => processStatus(worker) !== "gone");
  return { ...document, supervisor, workers };
}

function report(state: RunState, document: StatusDocument, place: string, now: number): Line[] {
  if (isOver(state)) return [...outcome(state), ...faults(document)];
  const { supervisor, workers } = document;
  const by = supervisor === null ? "nobody supervises it" : `supervised by process ${supervisor.pid}`;
  const listed = workers.map((worker) => `rank ${worker.rank} on ${worker.node} (process ${worker.pid})`).join(", ");
  const age = state.seq === 0 ? "" : `; last event ${seconds(Math.max(0, now - state.at))} ago`;
  return [
    line(`run ${document.run} is ${document.state}`, "heading"),
    ...hanging("  now        ", progressText(state, now)),
    ...hanging("  supervisor ", by + age),
    ...hanging("  workers    ", listed === "" ? "none is alive" : listed),
    ...Object.entries(document.blind).flatMap(([view, why]) => hanging("  blind      ", `${view}: ${why}`, "bad")),
    ...document.notes.flatMap((note) => hanging("  noted      ", noteText(note), "quiet")),
    ...(document.checkpoint === null ? [] : hanging("  checkpoint ", document.checkpoint)),
    ...faults(document),
    ...(supervisor === null ? [line(`next: dualgauge train ${place}`)] : []),
  ];
}

function noteText({ device, rank, what, count: times, detail }: NoteReport): string {
  const user = rank === null ? "" : `rank ${rank}`;
  const who = [...(device === null ? [] : [device]), ...(user === "" ? [] : [user])].join(", ") || "the program";
  return `${who}: ${what}${times > 1 ? ` (${times} times)` : ""}: ${detail}`;
}

function faults({ faults: reports, lostSteps }: StatusDocument): Line[] {
  return reports.length === 0
    ? []
    : [line(""), ...faultTable(reports), line(`${count(lostSteps, "step")} lost in all`)];
}
