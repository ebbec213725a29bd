/** Measures for `npm run faults -- --simulated`: every row over several seeds, or one row and seed event by event. */
import { writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { matrix } from "./matrix.ts";
import { type Measured, worst } from "./measure.ts";
import { simulateFault } from "./simulated.ts";

const { FAULTS } = process.env;

test.skipIf(FAULTS === undefined)(
  "what `npm run faults` asks for (skipped: nobody asked)",
  async () => {
    const asked: { out: string; only?: string; seed?: number; seeds: number } = JSON.parse(FAULTS ?? "{}");
    const rows = matrix.filter(({ id }) => asked.only === undefined || id === asked.only);
    const measured: object[] = [];
    for (const row of rows) {
      const seeds =
        asked.seed === undefined ? Array.from({ length: asked.seeds }, (_, index) => index + 1) : [asked.seed];
      const results: Measured[] = [];
      for (const seed of seeds) results.push(await simulateFault(row.id, seed));
      measured.push({ ...row, seeds: seeds.length, ...worst(results) });
    }
    writeFileSync(asked.out, JSON.stringify(measured));
    expect(rows.length, `no row ${asked.only}`).toBeGreaterThan(0);
  },
  600_000,
);
