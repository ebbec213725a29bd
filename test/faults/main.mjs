/**
 * `npm run faults -- --real|--simulated [--only ID,ID] [--seed N] [--seeds N] [--ettr [--days N]] [--write] [--json]`: measures the fault
 * matrix, writes docs/faults.md.
 * Knows: the table that is written. Does not know: how a fault is brought about (simulated.ts).
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { provenance, writeBlock } from "../../bench/block.mjs";

const usage =
  "usage: npm run faults -- --real|--simulated [--only ID] [--seed N] [--seeds N] [--ettr [--days N]] [--write] [--json]\n";
const flag = { type: "boolean", default: false };
const text = { type: "string" };
let values;
try {
  ({ values } = parseArgs({
    options: {
      real: flag,
      simulated: flag,
      write: flag,
      json: flag,
      ettr: flag,
      only: text,
      seed: text,
      seeds: text,
      days: text,
    },
  }));
} catch (error) {
  process.stderr.write(`faults: ${error.message}\n${usage}`);
  process.exit(2);
}
if (
  values.simulated === values.real ||
  [values.seed, values.seeds, values.days].some((given) => given !== undefined && !/^\d+$/.test(given))
) {
  process.stderr.write(usage);
  process.exit(2);
}

/** Rows of the matrix as the test run knows them; its titles say why one was skipped. */
function measureReal(only, folder) {
  const out = join(folder, "real.jsonl");
  const report = join(folder, "report.json");
  spawnSync(
    process.execPath,
    [vitest, "run", "test/faults/real", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`],
    {
      cwd: root,
      stdio: ["ignore", 2, 2],
      env: { ...process.env, REAL_FAULTS: only ?? "all", REAL_FAULTS_OUT: out },
    },
  );
  const rows = existsSync(out)
    ? readFileSync(out, "utf8")
        .split("\n")
        .filter(Boolean)
        .map((row) => JSON.parse(row))
    : [];
  const tests = JSON.parse(readFileSync(report, "utf8")).testResults.flatMap(
    ({ assertionResults }) => assertionResults,
  );
  const failed = tests
    .filter(({ status }) => status === "failed")
    .map(({ title, failureMessages }) => `${title}: ${failureMessages[0]?.split("\n")[0]}`);
  const skipped = tests
    .filter(({ status, title }) => status !== "passed" && status !== "failed" && / \(skipped: /.test(title))
    .map(({ title }) => title);
  return { rows, failed, skipped };
}

function realTable({ rows, failed, skipped }, only) {
  const seconds = (value) => (value === null ? "–" : value.toFixed(2));
  const lines = rows.map((row) => {
    const cells = [
      row.title,
      row.how,
      row.detectedBy.join(", ") || "nothing",
      seconds(row.detectSeconds),
      seconds(row.recoverSeconds),
    ];
    return `| ${[...cells, row.lostSteps, row.actions.join(", ") || "none", row.falseActions, row.ended].join(" | ")} |`;
  });
  const notes = [
    ...failed.map((text) => `- **Not as it should be:** ${text}`),
    ...skipped.map((text) => `- Not struck: ${text.replace(" (skipped: ", ": ").replace(/\)$/, "")}.`),
  ];
  if (only !== undefined) notes.push(`- Struck in this run: ${only.replaceAll(",", ", ")}; no other.`);
  return `## Real

Real supervisor, agents and worker processes on this machine; each fault was struck once and asserted that it struck. Workers train
nothing where supervision alone is tried, and the embedded engine's train where bytes or links matter. To recover: from the
detection to the first step after it, start of processes included. Finished runs ended in the undisturbed run's weights.

| fault | how | detected by | seconds to detect | to recover | steps lost | done | false actions | ended |
|---|---|---|--:|--:|--:|---|--:|---|
${lines.join("\n")}

${notes.join("\n")}

${provenance()}.`;
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
const folder = mkdtempSync(join(tmpdir(), "dualgauge-faults-"));
try {
  if (values.real) {
    const measured = measureReal(values.only, folder);
    const block = realTable(measured, values.only);
    process.stdout.write(values.json ? `${JSON.stringify(measured, null, 2)}\n` : `${block}\n`);
    if (values.write) writeBlock(join(root, "docs", "faults.md"), "npm run faults -- --real --write", block);
    process.exitCode = measured.failed.length > 0 ? 1 : 0;
  } else {
    const out = join(folder, "measured.json");
    const asked = { out, seeds: Number(values.seeds ?? 20) };
    if (values.only !== undefined) asked.only = values.only;
    if (values.seed !== undefined) asked.seed = Number(values.seed);
    if (values.days !== undefined) asked.days = Number(values.days);
    const name = values.ettr ? "ettr" : "report";
    const { status } = spawnSync(
      process.execPath,
      [vitest, "run", `test/faults/${name}.test.ts`, "--disable-console-intercept"],
      // Progress goes to standard error: standard output is the document's.
      {
        cwd: root,
        stdio: ["ignore", 2, 2],
        // A month's journal is held in memory.
        env: {
          ...process.env,
          ...(values.ettr && { NODE_OPTIONS: "--max-old-space-size=8192" }),
          [values.ettr ? "ETTR" : "FAULTS"]: JSON.stringify(asked),
        },
      },
    );
    if (!existsSync(out)) process.exit(status || 1);
    const measured = JSON.parse(readFileSync(out, "utf8"));
    const block = values.ettr ? ettrBlock(measured) : table(measured);
    process.stdout.write(values.json ? `${JSON.stringify(measured, null, 2)}\n` : `${block}\n`);
    const command = `npm run faults -- --simulated${values.ettr ? " --ettr" : ""} --write`;
    if (values.write) writeBlock(join(root, "docs", "faults.md"), command, block);
    const problems = values.ettr
      ? []
      : measured.flatMap((row) => row.problems.map((problem) => `${row.id}: ${problem}`));
    for (const problem of problems) process.stderr.write(`faults: ${problem}\n`);
    process.exitCode = status || (problems.length > 0 ? 1 : 0);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function table(rows) {
  const seconds = (value) => (value === null ? "–" : value.toFixed(2));
  const lines = rows.map((row) => {
    const by = row.detectedBy.length > 0 ? row.detectedBy.join(", ") : silent(row);
    const cells = [row.title, row.simulated, by, seconds(row.detectSeconds), seconds(row.recoverSeconds)];
    return `| ${[...cells, row.lostSteps, row.actions.join(", ") || "none", row.falseActions, row.ended.join(", ")].join(" | ")} |`;
  });
  const falseActions = rows.reduce((sum, row) => sum + row.falseActions, 0);
  return `## Simulated

The real supervisor on a simulated launcher and a virtual clock: 2 workers, steps of 0.3 s, 30 steps, pools of 2 nodes, one spare
on the first. The seconds are those of the model: workers that take up to 1 s to start, and stop within 2 s.
Each row ran with ${Math.max(...rows.map(({ seeds }) => seeds))} seeds; the longest times and the most steps are shown. Every injection fired, and every run that finished
ended in the weights of the undisturbed one. False actions in all: ${falseActions}.

| fault | how | detected by | seconds to detect | to recover | steps lost | done | false actions | ended |
|---|---|---|--:|--:|--:|---|--:|---|
${lines.join("\n")}

${provenance()}.`;
}

/** Who notices what is no fault of the workers. */
function silent(row) {
  const names = {
    "journal-no-space": "journal",
    eio: "journal",
    "read-only": "journal",
    blind: "blind view",
    "two-supervisors": "lease",
  };
  return (
    names[row.id] ??
    (row.id === "supervisor-killed" ? "the next supervisor" : /sigterm|ctrl-c/.test(row.id) ? "signal" : "nothing")
  );
}

function ettrBlock(measured) {
  return `${measured.text}\n\n${provenance()}.`;
}
