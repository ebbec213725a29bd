/**
 * Measures how long a command takes to answer, beside a bare `node -e 0` in the same rounds. Run it with
 * `npm run bench -- startup [--json] [--write]`; `--write` puts the figures into docs/performance.md.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { provenance, writeBlock } from "./block.mjs";

const bin = fileURLToPath(new URL("../bin/dualgauge.js", import.meta.url));
const train =
  "plan train --model deepseek-v3 --accelerator h800-sxm --devices 2048 --tokens 14.8e12 --seq 4096 --global-batch 15360 --precision fp8";
const cases = [
  { name: "node -e 0", argv: ["-e", "0"] },
  { name: "--help", argv: [bin, "--help"] },
  { name: "plan train --help", argv: [bin, "plan", "train", "--help"] },
  {
    name: "plan train --layout …, one evaluation with simulated failures",
    argv: [bin, ...train.split(" "), "--layout", "tp=1,pp=16,ep=64,recompute=full"],
  },
  { name: "plan train, search over 2,048 devices", argv: [bin, ...train.split(" ")] },
];
const rounds = 15;
const milliseconds = cases.map(() => []);
for (let round = 0; round <= rounds; round++)
  cases.forEach(({ name, argv }, i) => {
    const started = performance.now();
    const { status, stderr } = spawnSync(process.execPath, argv, { encoding: "utf8" });
    if (status !== 0) throw new Error(`${name} failed: ${stderr}`);
    // The first round warms the file cache.
    if (round > 0) milliseconds[i].push(performance.now() - started);
  });

const bare = milliseconds[0];
const rows = cases.map(({ name }, i) => {
  const sorted = [...milliseconds[i]].sort((a, b) => a - b);
  // Of each round, so that a busy moment slows both sides of a ratio.
  const ratios = milliseconds[i].map((value, round) => value / bare[round]).sort((a, b) => a - b);
  return { name, best: sorted[0], median: sorted[rounds >> 1], ratio: ratios[rounds >> 1] };
});

if (process.argv.includes("--json")) process.stdout.write(`${JSON.stringify({ bench: "startup", rounds, rows })}\n`);
else {
  const table = rows.map(
    ({ name, best, median, ratio }) =>
      `| ${name} | ${best.toFixed(0)} | ${median.toFixed(0)} | ${(best - rows[0].best).toFixed(0)} | ${ratio.toFixed(2)} |`,
  );
  const text = `## Start-up

Wall milliseconds from start to exit of the process, ${rounds} rounds; the ratio is the median over rounds. ${provenance()}.

| command | best | median | best, beyond bare Node | against bare Node |
|---|--:|--:|--:|--:|
${table.join("\n")}`;
  process.stdout.write(`${text}\n`);
  if (process.argv.includes("--write"))
    writeBlock(new URL("../docs/performance.md", import.meta.url), "npm run bench -- startup --write", text);
}
