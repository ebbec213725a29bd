/**
 * Writes the reliability block of docs/validation.md: the simulator beside published figures.
 * `node scripts/validate-reliability.mjs` rewrites it, `--check` fails when it would change; run `npm run setup` first.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { ratePrior, reliabilityRecords } from "../dist/catalog/reliability.js";
import { publishedRows } from "../dist/simulator/published.js";

const file = fileURLToPath(new URL("../docs/validation.md", import.meta.url));
const begin = "<!-- by: node scripts/validate-reliability.mjs -->";
const end = "<!-- end: node scripts/validate-reliability.mjs -->";

const rows = publishedRows(200, 2026);
const digits = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
const range = ([low, high]) => (Math.abs(high / low - 1) < 0.005 ? digits(low) : `${digits(low)} – ${digits(high)}`);
const prior = ratePrior();
const lines = [
  begin,
  "",
  `${rows.filter(({ agrees }) => agrees).length} of ${rows.length} published figures agree with the simulator. A source's missing inputs are ranges`,
  "(detection up to 10 min, restart up to 15 min, checkpoint stall 3 to 149 s), so a prediction is a range too.",
  "“Others only” predicts a system from the rates of all other systems; “own rate” checks everything but the rate.",
  "",
  "| system | quantity | from | predicted | published | agrees | note |",
  "|---|---|---|--:|--:|---|---|",
  ...rows.map(({ system, quantity, from, predicted, published, bound, agrees, note }) => {
    const shown = `${bound === "at least" ? "> " : ""}${digits(published)}`;
    return `| ${system} | ${quantity} | ${from} | ${range(predicted)} | ${shown} | ${agrees ? "yes" : "**no**"} | ${note} |`;
  }),
  "",
  `The prior for a pool that nobody has watched is a gamma distribution of shape ${prior.shape.toFixed(2)} over ${prior.nodeDays.toFixed(0)} node-days`,
  `(mean ${((prior.shape / prior.nodeDays) * 1000).toFixed(2)} failures per 1,000 node-days), fitted to ${reliabilityRecords.filter((r) => !r.excludedFromPrior).length} systems by maximum likelihood; its two`,
  "parameters are the only fitted constants of the reliability model. RSC-2 publishes a rate (2.34 per 1,000 node-days) and",
  "neither an effective training time nor a time to failure; BLOOM publishes no count of days, so no effective training time.",
  "",
  end,
];
const block = lines.join("\n");
const before = existsSync(file)
  ? readFileSync(file, "utf8")
  : "# Validation\n\nWhat the predictions are worth: each block is written by the command named above it.\n";
const from = before.indexOf(begin);
const to = before.indexOf(end);
const after =
  from >= 0 && to > from
    ? before.slice(0, from) + block + before.slice(to + end.length)
    : `${before.trimEnd()}\n\n## Failures and completion\n\n${block}\n`;

if (process.argv.includes("--check")) {
  if (after !== before) {
    process.stderr.write(
      "docs/validation.md: the reliability block is out of date; run node scripts/validate-reliability.mjs\n",
    );
    process.exit(1);
  }
} else {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, after);
}
