/** Replays one simulated run for a person: `npm run simulate -- --seed N [--kill after:12,before:30] [--record FILE]`. */
import { writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { trainDocument } from "../../src/journal/select.ts";
import { mishapRun, restlessRun, tenFaults } from "./schedule.ts";
import { type Kill, simulate } from "./simulate.ts";
import { transcript } from "./transcript.ts";

const { SIMULATE } = process.env;

test.skipIf(SIMULATE === undefined)("the run that `npm run simulate` asks for (skipped: nobody asked)", async () => {
  const asked: { seed: number; kind?: string; kill?: string; record?: string; until?: number } = JSON.parse(
    SIMULATE ?? "{}",
  );
  const { seed, kind = "faults", kill, record, until } = asked;
  const kills = (kill ?? "").split(",").flatMap((spelled) => {
    const [when, append] = spelled.split(":");
    return when === "after" || when === "before" || when === "torn"
      ? [{ when: when as Kill["when"], append: Number(append) }]
      : [];
  });
  const { events, state, violations } = await simulate({
    ...(kind === "restless"
      ? restlessRun(seed)
      : kind === "mishaps"
        ? mishapRun(seed)
        : { seed, file: tenFaults(seed) }),
    kills,
  });
  process.stdout.write(transcript(events.slice(0, until)));
  process.stdout.write(`${JSON.stringify({ ...trainDocument(state), violations }, null, 2)}\n`);
  if (record !== undefined) writeFileSync(record, events.map((event) => `${JSON.stringify(event)}\n`).join(""));
  expect(violations).toEqual([]);
});
