/**
 * Takes the attempt's port before the worker can, then is the worker: `node take-port.mjs COMMAND…`.
 * Knows: MASTER_PORT. Does not know: what the worker makes of it. Stands for another program that was quicker.
 */
import { spawn } from "node:child_process";
import { createServer } from "node:net";

const [command = "", ...args] = process.argv.slice(2);
const taken = createServer().listen(Number(process.env.MASTER_PORT), "127.0.0.1", () => {
  const child = spawn(command, args, { stdio: "inherit" });
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => child.kill(signal));
  child.once("exit", (code) => {
    taken.close();
    process.exit(code ?? 1);
  });
});
