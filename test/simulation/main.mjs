/** `npm run simulate -- --seed N [--kind faults|restless|mishaps] [--kill after:12,before:30,torn:31] [--until SEQ] [--record FILE]`: one simulated run, event by event. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const text = { type: "string" };
const { values } = parseArgs({ options: { seed: text, kind: text, kill: text, until: text, record: text } });
if (!/^\d+$/.test(values.seed ?? "") || !["faults", "restless", "mishaps"].includes(values.kind ?? "faults")) {
  process.stderr.write(
    "usage: npm run simulate -- --seed N [--kind faults|restless|mishaps] [--kill after:12,before:30,torn:31] [--until SEQ] [--record FILE]\n",
  );
  process.exit(2);
}
const until = values.until === undefined ? {} : { until: Number(values.until) };
const SIMULATE = JSON.stringify({ ...values, ...until, seed: Number(values.seed) });
const root = fileURLToPath(new URL("../..", import.meta.url));
// The harness is TypeScript, and the test runner is what runs TypeScript here.
const { status } = spawnSync(
  "npx",
  ["vitest", "run", "test/simulation/replay.test.ts", "--disable-console-intercept"],
  {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, SIMULATE },
  },
);
process.exitCode = status ?? 1;
