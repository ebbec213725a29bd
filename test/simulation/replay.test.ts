/** Replays one simulated run for a person: `npm run simulate -- --seed N [--kill after:12,before:30] [--record FILE]`. */
import { writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { trainDocument } from "../../src/journal/select.ts";
import { tenFaults } from "./schedule.ts";
import { simulate } from "./simulate.ts";
import { transcript } from "./transcript.ts";

const { SIMULATE } = process.env;

test.skipIf(SIMULATE === undefined)("the run that `npm run simulate` asks for (skipped: nobody asked)", async () => {
  const { seed, kill, record, until }: { seed: number; kill?: string; record?: string; until?: number } = JSON.parse(
    SIMULATE ?? "{}",
  );
  const kills = (kill ?? "").split(",").flatMap((spelled) => {
    const [when, append] = spelled.split(":");
    return when === "after" || when === "before" ? [{ when: when as "after" | "before", append: Number(append) }] : [];
  });
  const { events, state, violations } = await simulate({ seed, kills, file: tenFaults(seed) });
  process.stdout.write(transcript(events.slice(0, until)));
  process.stdout.write(`${JSON.stringify({ ...trainDocument(state), violations }, null, 2)}\n`);
  if (record !== undefined) writeFileSync(record, events.map((event) => `${JSON.stringify(event)}\n`).join(""));
  expect(violations).toEqual([]);
});
