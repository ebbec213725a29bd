/**
 * `dualgauge run`: the whole of it from one file: train, port, compare, serve, answer.
 * Knows: the order of the chapters and where a run lies. Does not know: how any chapter is carried out.
 */
import type { Command } from "commander";
import { trainDocument } from "../journal/select.ts";
import type { RunState } from "../journal/state.ts";
import { BadInput } from "../spec/bad-input.ts";
import { isProgramRun } from "../spec/run-file.ts";
import { runFolders } from "../store/run-directory.ts";
import { checkRunDirectory } from "../supervisor/run.ts";
import { type Interrupt, onInterrupt } from "./interrupt.ts";
import { type LoadedRun, loadRun } from "./load-run.ts";
import { printDocument, words } from "./output.ts";
import {
  answerLines,
  chapter,
  learned,
  parityLines,
  places,
  portLines,
  quantizedLines,
  servedLines,
} from "./render/chapters.ts";
import { fleet } from "./render/fleet.ts";
import { line } from "./render/layout.ts";
import { faultTable } from "./render/outcome.ts";
import { defaultDirectory } from "./run-place.ts";
import { startAnew } from "./start-anew.ts";
import { compareWith, exportRun, quantizeRun, serveRun, targetPool } from "./story.ts";
import type { Terminal } from "./terminal.ts";
import { exitCode } from "./train.ts";
import { trainRun } from "./train-run.ts";

interface Options {
  readonly dir?: string;
  readonly fresh?: true;
  readonly json?: true;
}

export function register(program: Command): void {
  program
    .command("run")
    .description("all of it: train through faults, port to the other gauge, compare there, serve and answer")
    .argument("<run>", "a run.yaml, or the directory of a run to go on with")
    .option("--dir <dir>", "the run's directory (default: runs/<name>)")
    .option("--fresh", "remove what an earlier run of this name left in the directory, and start anew")
    .option("--json", "print one JSON document at the end, the story on stderr")
    .addHelpText("after", "\nExample:\n  dualgauge run examples/two-gauges/run.yaml")
    .action(run);
}

async function run(given: string, options: Options): Promise<void> {
  const loaded = loadRun(given);
  if (isProgramRun(loaded.file)) {
    throw new BadInput(
      `${given}: \`run\` carries a model of the embedded engine to the other gauge; start a program with \`dualgauge train\``,
    );
  }
  const dir = options.dir ?? (loaded.isDirectory ? given : defaultDirectory(loaded.file.name));
  const terminal = words(options);
  const interrupt = onInterrupt();
  try {
    checkRunDirectory(dir, loaded);
    if (options.fresh) await startAnew(dir, loaded.file.name);
    const document = await tell(loaded, dir, terminal, interrupt);
    if (options.json) printDocument(document);
  } finally {
    interrupt.dispose();
  }
}

async function tell(run: LoadedRun, dir: string, terminal: Terminal, interrupt: Interrupt): Promise<object> {
  const { file } = run;
  const preface = [
    line(`dualgauge run ${file.name}: train on one vendor's chips, answer on the other's`, "heading"),
    line("        No accelerator is used here: every pool is emulated by processes on this machine's CPU.", "quiet"),
    ...fleet(file, run),
    ...chapter("1. train"),
  ];
  const state = await trainRun({ run, dir, preface, terminal, signal: interrupt.signal });
  const trained = trainDocument(state);
  process.exitCode = exitCode(state);
  if (state.phase !== "finished") {
    terminal.print([
      line(""),
      line(`next: the same command goes on from step ${state.step}; with --fresh it starts anew`),
    ]);
    return { state: state.phase, train: trained };
  }
  terminal.print([...learnedLines(run, state), line(""), ...faultTable(trained.faults)]);
  const after = await carryOver(run, dir, state, terminal, interrupt.signal).catch((error: unknown) => {
    if (!interrupt.signal.aborted) throw error;
    process.exitCode = 130;
    terminal.print([line(""), line("stopped; the run is trained, and the same command goes on after it")]);
    return {};
  });
  return { state: state.phase, train: trained, ...after };
}

/** Chapters 2 to 4; throws the signal's reason between them when a person asks to stop. */
async function carryOver(
  run: LoadedRun,
  dir: string,
  state: RunState,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<object> {
  const pool = targetPool(run, state.pool);
  terminal.print(chapter(`2. port to the ${pool.name} gauge`));
  const exported = await exportRun(run, dir, state, signal);
  terminal.print(portLines(exported, pool, run.file.port.precision));
  signal.throwIfAborted();
  const quantized = await quantizeRun(dir, state, signal);
  terminal.print([...quantizedLines(quantized), ...chapter("3. compare")]);
  signal.throwIfAborted();
  const parity = await compareWith(run, dir, { state, ported: exported.path });
  terminal.print(parityLines(parity, `its export in ${run.file.port.precision}`, pool));
  signal.throwIfAborted();
  const quantizedParity = await compareWith(run, dir, { state, ported: quantized.path });
  terminal.print([
    line(""),
    ...parityLines(quantizedParity, "its W8A8 (weights in signed bytes; activations stay float32 on this CPU)", pool),
    ...chapter("4. serve from both pools"),
  ]);
  signal.throwIfAborted();
  if (parity.verdict === "different" || quantizedParity.verdict === "different") process.exitCode = 1;
  const served = await serveRun(run, dir, state, signal);
  terminal.print([...answerLines(served.answer), ...servedLines(served)]);
  if (served.load.failed > 0 || served.canary.rolledBack !== null) process.exitCode = 1;
  const files = placesOf(dir, state, { exported: exported.path, quantized: quantized.path });
  const next = [`dualgauge serve ${dir}`, `dualgauge events ${dir}`];
  terminal.print([...chapter("where everything lies"), ...places(Object.entries(files), next)]);
  const { answer, ...serve } = served;
  return { port: exported, quantized, compare: parity, compareQuantized: quantizedParity, answer, serve, files };
}

function learnedLines({ corpus }: LoadedRun, { validation }: RunState) {
  return corpus === undefined || validation === undefined ? [] : learned(validation.loss, corpus.unigramEntropy);
}

function placesOf(
  dir: string,
  state: RunState,
  { exported, quantized }: { exported: string; quantized: string },
): Record<string, string> {
  const { journal, attempts } = runFolders(dir);
  return {
    checkpoint: state.finished?.checkpoint?.path ?? "",
    export: exported,
    "in W8A8": quantized,
    journal,
    "attempts and logs": attempts,
  };
}
