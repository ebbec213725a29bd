/**
 * A supervisor of fake workers as a process of its own, so that a test can kill it: `node supervise-fake.mjs RUN.yaml DIR`.
 * Knows: the compiled supervisor. Does not know: what is tested. Prints the train document; exit codes as the command line's.
 */
import { join } from "node:path";
import { trainDocument } from "../dist/journal/select.js";
import { localLauncher } from "../dist/launcher/local.js";
import { BadInput } from "../dist/spec/bad-input.js";
import { readRunFile } from "../dist/store/read-run-file.js";
import { superviseRun } from "../dist/supervisor/run.js";

const [runFile = "", dir = ""] = process.argv.slice(2);
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stop.abort(signal));
const worker = join(import.meta.dirname, "fake-worker.mjs");
try {
  const state = await superviseRun({
    run: readRunFile(runFile),
    dir,
    signal: stop.signal,
    launcher: ({ attempts, epoch }, clock) =>
      localLauncher({
        folder: attempts,
        epochFile: epoch,
        clock,
        workerCommand: () => [process.execPath, worker],
      }),
  });
  process.stdout.write(`${JSON.stringify(trainDocument(state))}\n`);
  process.exitCode = state.phase === "finished" ? 0 : state.phase === "interrupted" ? 130 : 1;
} catch (error) {
  if (!(error instanceof BadInput)) throw error;
  process.stderr.write(`${error.problems.join("\n")}\n`);
  process.exitCode = 2;
}
