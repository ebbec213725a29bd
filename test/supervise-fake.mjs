/**
 * A supervisor as a process of its own, so that a test can kill it: `node supervise-fake.mjs RUN.yaml DIR`. Its workers train
 * nothing, unless SUPERVISE_SETUP (JSON) asks for others; see `Setup` in test/faults/real/real-run.ts.
 * Knows: the compiled supervisor. Does not know: what is tested. Prints the train document; exit codes as the command line's.
 */
import { join } from "node:path";
import { entryPoint } from "../dist/host/entry-point.js";
import { trainDocument } from "../dist/journal/select.js";
import { localLauncher } from "../dist/launcher/local.js";
import { BadInput } from "../dist/spec/bad-input.js";
import { readRunFile } from "../dist/store/read-run-file.js";
import { superviseRun } from "../dist/supervisor/run.js";

const [runFile = "", dir = ""] = process.argv.slice(2);
const {
  engine,
  namespaces,
  brokenNodes = [],
  brokenPools = [],
  takesPort,
  diesAfter,
} = JSON.parse(process.env.SUPERVISE_SETUP ?? "{}");
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stop.abort(signal));
const worker = engine ? entryPoint("engine/worker-main") : join(import.meta.dirname, "fake-worker.mjs");

function workerCommand({ epoch, nodes, spec }, rank) {
  const node = nodes[rank];
  if (brokenNodes.includes(node) || brokenPools.includes(spec.pool)) return [join(dir, `no-program-on-${node}`)];
  const command = [process.execPath, worker];
  if (takesPort && rank === 0 && epoch === 1)
    return [process.execPath, join(import.meta.dirname, "take-port.mjs"), ...command];
  if (namespaces === undefined) return command;
  // Ranks that are nodes of their own find rank 0 at its address, not at loopback.
  return ["ip", "netns", "exec", namespaces.names[rank], "env", `MASTER_ADDR=${namespaces.address}`, ...command];
}

try {
  const state = await superviseRun({
    run: readRunFile(runFile),
    dir,
    signal: stop.signal,
    onEvent({ seq }) {
      if (seq === diesAfter) process.kill(process.pid, "SIGKILL");
    },
    launcher: ({ attempts, epoch }, clock) =>
      localLauncher({
        folder: attempts,
        epochFile: epoch,
        clock,
        workerCommand,
      }),
  });
  process.stdout.write(`${JSON.stringify(trainDocument(state))}\n`);
  process.exitCode = state.phase === "finished" ? 0 : state.phase === "interrupted" ? 130 : 1;
} catch (error) {
  if (!(error instanceof BadInput)) throw error;
  process.stderr.write(`${error.problems.join("\n")}\n`);
  process.exitCode = 2;
}
