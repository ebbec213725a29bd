/**
 * Runs the story as `npm start` does and writes what it printed: whole into docs/story.md, shortened to the top of README.md.
 * Knows: the lines of the story and which of them a first reader needs. Does not know: how any of it comes about.
 * Usage: npm run record-story [-- FILE], where FILE holds the output of an earlier `npm start` and nothing is run.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const given = process.argv[2];
const text = (given === undefined ? runStory() : readFileSync(given, "utf8")).trimEnd();
const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: root, encoding: "utf8" }).trim();
const processor = cpus()[0]?.model.trim() ?? "unknown processor";
const origin = `${new Date().toISOString().slice(0, 10)}, ${cpus().length} × ${processor}, Node ${process.versions.node}, commit ${commit}`;

writeFileSync(
  join(root, "docs", "story.md"),
  [
    "# The story, as printed",
    "",
    "<!-- by: npm run record-story -->",
    "",
    `\`npm start\`, ${origin}. Nothing is left out.`,
    "",
    "```text",
    text,
    "```",
    "",
  ].join("\n"),
);
const readme = readFileSync(join(root, "README.md"), "utf8");
const block = /<!-- story: by npm run record-story -->[\s\S]*?<!-- story ends -->/;
if (!block.test(readme)) throw new Error("README.md has no place for the story");
const story = [
  "<!-- story: by npm run record-story -->",
  "```text",
  "$ npm start",
  ...shortened(text),
  "```",
  `${origin}; [in full](docs/story.md).`,
  "<!-- story ends -->",
];
writeFileSync(
  join(root, "README.md"),
  readme.replace(block, () => story.join("\n")),
);

function runStory() {
  const folder = mkdtempSync(join(tmpdir(), "dualgauge-story-"));
  try {
    const args = ["bin/dualgauge.js", "run", "examples/two-gauges/run.yaml", "--dir", join(folder, "two-gauges")];
    const { status, stdout } = spawnSync(process.execPath, args, {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    });
    if (status !== 0) throw new Error(`the story ended with exit ${status}`);
    return stdout.replaceAll(join(folder, "two-gauges"), "runs/two-gauges");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The fleet, the first crash, the decision to leave, the end, and every chapter after it; `…` where something was left out. */
function shortened(whole) {
  const kept = [];
  let keeping = true;
  const [chapters = ""] = whole.split("\nwhere everything lies\n");
  for (const row of chapters.split("\n")) {
    const moment = /^ *[\d.]+ s {2}(.*)$/.exec(row)?.[1];
    if (moment !== undefined) keeping = isTold(moment);
    else if (/will suffer/.test(row)) {
      kept.push(`${row.slice(0, row.indexOf("will suffer"))}will suffer: …`);
      keeping = false;
      continue;
    } else if (/^(fault +kind|\d+ |[a-z]+\/\d+ )/.test(row)) keeping = false;
    else if (/^ +evidence /.test(row)) keeping = false;
    else if (/^( {2})?\S|^$/.test(row)) keeping = true;
    if (keeping) kept.push(row);
    else if (!/…$/.test(kept.at(-1) ?? "") && kept.at(-1) !== "") kept.push("      …");
  }
  return kept.filter(
    (row) =>
      row !== "" && !/^ {2}(weights|checkpoint|operators|logits|divergence|took|for|asked|loss|promoted) /.test(row),
  );
}

function isTold(moment) {
  return /^(attempt 1 |fault \d+: (process-signal|hang)|fault 2 is over|carried over|attempt \d+ on pool nvidia)/.test(
    moment,
  );
}
