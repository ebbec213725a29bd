/**
 * Makes system calls of the supervisor fail or last, by strace.
 * Knows: attaching, injecting, letting go. Does not know: what the supervisor makes of it.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { kill, pause, type RealRun } from "./real-run.ts";

interface Injection {
  /** How long it lasts. */
  readonly seconds: number;
  /** Only calls on this file of the run's directory; else all of the supervisor. */
  readonly onFile?: (dir: string) => string;
  readonly meanwhile?: (run: RealRun) => Promise<void>;
}

/** `what` as strace's `-e inject=` takes it. Throws when no call was touched: the fault must have struck. */
export function underStrace(what: string, { seconds, onFile, meanwhile }: Injection): (run: RealRun) => Promise<void> {
  return async (run) => {
    await run.untilStep(10);
    const only = onFile === undefined ? [] : ["-P", onFile(run.dir)];
    const calls = what.split(":")[0] ?? "";
    const args = ["-f", "-p", String(run.supervisor()), ...only, "-e", `trace=${calls}`, "-e", `inject=${what}`];
    const strace = spawn("strace", args, { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    strace.stderr.on("data", (piece: Buffer) => (said += piece));
    await run.until("strace attached", () => /attached/.test(said));
    run.strikes();
    await meanwhile?.(run);
    await pause(seconds);
    kill(strace.pid ?? 0, "SIGINT");
    await once(strace, "close");
    if (!/INJECTED|DELAYED/.test(said)) throw new Error(`strace touched nothing:\n${said.slice(-2000)}`);
  };
}
