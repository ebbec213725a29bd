/**
 * `npm run bench -- scale [--write]`: one supervisor, ten thousand workers: how long a tick is, in health and when all workers fall at once.
 * Knows: the table. Does not know: the simulated run (test/simulation/scale.test.ts, which the test runner runs because it is TypeScript).
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { provenance, writeBlock } from "./block.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
const folder = mkdtempSync(join(tmpdir(), "dualgauge-bench-"));
try {
  const out = join(folder, "scale.json");
  const SCALE = JSON.stringify({ out, workers: [100, 1000, 10_000] });
  const { status } = spawnSync(process.execPath, [vitest, "run", "test/simulation/scale.test.ts"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
    env: { ...process.env, SCALE },
  });
  if (status !== 0) process.exit(status ?? 1);
  const ms = ({ median, p99, worst }) => [median, p99, worst].map((seconds) => (1000 * seconds).toFixed(1));
  const lines = JSON.parse(readFileSync(out, "utf8")).flatMap(({ workers, steady, mass }) =>
    [
      ["training", steady],
      ["all fall, all start again", mass],
    ].map(([what, { ticks, wall, cpu }]) => `| ${[workers, what, ticks, ...ms(cpu), ...ms(wall)].join(" | ")} |`),
  );
  const text = `## One supervisor, many workers

The real supervisor on simulated workers and a virtual clock: steps of 1 s, every rank says phases, steps, links and a heartbeat every 0.5 s.
Then rank 0 is killed, every other rank ends for the lost link, and all start again. A tick is everything that the supervisor does
between two waits (look, journal, detect, decide, act), without the simulated workers' own time; milliseconds.

| workers | while | ticks | processor, median | p99 | worst | wall, median | p99 | worst |
|--:|---|--:|--:|--:|--:|--:|--:|--:|
${lines.join("\n")}

${provenance()}.`;
  process.stdout.write(`${text}\n`);
  if (process.argv.includes("--write"))
    writeBlock(join(root, "docs", "performance.md"), "npm run bench -- scale --write", text);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
