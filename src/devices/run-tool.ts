/**
 * Runs a vendor's tool within limits of time and output, without a shell and without ever waiting for one that cannot be ended.
 * Knows: processes. Does not know: any tool. A tool that hangs in the driver takes no signal; its answer is "timed out" all the same.
 */
import { type ChildProcess, spawn } from "node:child_process";

export type ToolResult =
  | { readonly state: "done"; readonly code: number | null; readonly stdout: string; readonly stderr: string }
  /** No such tool on PATH, or it may not be run. */
  | { readonly state: "absent" }
  | { readonly state: "failed"; readonly why: string };

export interface Tools {
  run(tool: string, args: readonly string[]): Promise<ToolResult>;
  /** Ends what still runs. */
  close(): void;
}

export interface ToolLimits {
  readonly seconds: number;
  readonly bytes: number;
}

/** nvidia-smi takes a second or two on eight devices, npu-smi one per query; a megabyte is far above what either prints. */
const usual: ToolLimits = { seconds: 20, bytes: 1 << 20 };

/** How long an end by SIGKILL may take. */
const endSeconds = 1;

export function openTools(limits: Partial<ToolLimits> = {}): Tools {
  const { seconds, bytes } = { ...usual, ...limits };
  const living = new Map<string, ChildProcess>();
  const start = (tool: string, args: readonly string[], resolve: (result: ToolResult) => void): void => {
    const pieces = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
    let total = 0;
    let isSettled = false;
    const child = spawn(tool, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, LC_ALL: "C" } });
    living.set(tool, child);
    const settle = (result: ToolResult): void => {
      if (isSettled) return;
      isSettled = true;
      clearTimeout(timer);
      child.stdout?.destroy();
      child.stderr?.destroy();
      resolve(result);
    };
    let stopped: string | undefined;
    const stop = (why: string): void => {
      if (stopped !== undefined) return;
      stopped = why;
      child.kill("SIGKILL");
      // What hangs in the driver does not end; nobody waits for it longer than this.
      setTimeout(() => settle({ state: "failed", why }), endSeconds * 1000).unref();
    };
    const timer = setTimeout(() => stop(`gave no answer in ${seconds} s`), seconds * 1000);
    const take = (name: "stdout" | "stderr") => (piece: Buffer) => {
      total += piece.length;
      if (total > bytes) stop(`printed more than ${bytes} bytes`);
      else pieces[name].push(piece);
    };
    child.stdout?.on("data", take("stdout"));
    child.stderr?.on("data", take("stderr"));
    child.once("error", (error) => {
      living.delete(tool);
      const code = "code" in error ? error.code : undefined;
      const isAbsent = code === "ENOENT" || code === "EACCES" || code === "ENOTDIR";
      settle(isAbsent ? { state: "absent" } : { state: "failed", why: error.message.slice(0, 300) });
    });
    child.once("exit", () => {
      living.delete(tool);
      if (stopped !== undefined) settle({ state: "failed", why: stopped });
    });
    child.once("close", (code, signal) => {
      const text = (name: "stdout" | "stderr"): string => Buffer.concat(pieces[name]).toString("utf8");
      if (signal !== null) settle({ state: "failed", why: `was ended by ${signal}` });
      else settle({ state: "done", code, stdout: text("stdout"), stderr: text("stderr") });
    });
  };
  return {
    run: (tool, args) =>
      new Promise((resolve) => {
        // One that hangs in the driver is not joined by a second.
        if (living.has(tool)) resolve({ state: "failed", why: "has not ended since it was last asked" });
        else start(tool, args, resolve);
      }),
    close() {
      for (const child of living.values()) child.kill("SIGKILL");
    },
  };
}
