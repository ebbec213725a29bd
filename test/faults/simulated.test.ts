/** Every row of the fault matrix, simulated: it fires, it is seen as what it is, nothing else is done, and the run ends as it should. */
import { describe, expect, test } from "vitest";
import { matrix } from "./matrix.ts";
import { simulateFault } from "./simulated.ts";

describe.each(matrix)("$id: $title", ({ id }) => {
  const seeds = id === "thousand-ranks" ? [1] : [1, 2, 3];
  test.each(seeds)("seed %i", async (seed) => {
    const { problems } = await simulateFault(id, seed);
    expect(problems, `replay: npm run faults -- --simulated --only ${id} --seed ${seed}`).toEqual([]);
  });
});
