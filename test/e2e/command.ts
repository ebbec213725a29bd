/**
 * Runs the real command line in a process of its own, as a person does.
 * Knows: bin/dualgauge.js, which runs from dist (`npm test` builds it). Does not know: verbs.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly process: ChildProcess;
  /** What was written to both streams so far. */
  text(): string;
  readonly finished: Promise<Finished>;
}

/** A test that fails while a command runs must not leave it behind; SIGTERM lets it stop its workers too. */
const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGTERM");
});

const binary = resolve(import.meta.dirname, "../../bin/dualgauge.js");

export function start(
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; uid?: number } = {},
): Running {
  const child = spawn(process.execPath, [binary, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    cwd: options.cwd,
    ...(options.uid !== undefined && { uid: options.uid }),
    env: { ...process.env, NO_COLOR: "1", ...options.env },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const finished = new Promise<Finished>((done, failed) => {
    running.add(child);
    child.on("exit", () => running.delete(child));
    child.on("error", failed);
    child.on("close", (code, signal) => done({ code, signal, stdout, stderr }));
  });
  return { process: child, text: () => stdout + stderr, finished };
}

export const dualgauge = (...args: readonly string[]): Promise<Finished> => start(args).finished;

/** A folder that is gone when the test is. */
export function temporaryFolder(): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
