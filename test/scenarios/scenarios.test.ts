/**
 * Golden transcripts: what the supervisor does, event by event, in a simulated world from a seed and a virtual clock.
 * Nothing in them is masked. `npx vitest run test/scenarios -u` rewrites them; explain each changed line in the commit.
 */
import { expect, test } from "vitest";
import { simulate, simulatedRun } from "../simulation/simulate.ts";
import { transcript } from "../simulation/transcript.ts";

/** The name of each is its file's. */
const scenarios: Record<string, Parameters<typeof simulate>[0]> = {
  // An unstable pool: mended faults, a spare, a rank that hangs, and after the third fault the other vendor's pool.
  "leaves-the-ascend-pool": {
    seed: 3,
    file: simulatedRun({
      faults: {
        ascend: [
          { kind: "bitflip", rank: 1, step: 4 },
          { kind: "crash", rank: 1, step: 7 },
          { kind: "crash", rank: 1, step: 7, times: 1 },
          { kind: "hang", rank: 0, step: 12 },
        ],
        nvidia: [{ kind: "linkdown", rank: 1, step: 20 }],
      },
      failover: { maxFaultsPerPool: 2, maxFaultsPerProductiveHour: 1e9 },
    }),
  },
  // The newest checkpoint is spoilt just before it is needed: it is set aside, and one step is computed again.
  "spoilt-checkpoint": {
    seed: 3,
    file: simulatedRun({
      steps: 14,
      faults: {
        ascend: [
          { kind: "bitflip", target: "checkpoint", rank: 0, step: 6 },
          { kind: "exit", code: 9, rank: 1, step: 6 },
        ],
      },
    }),
  },
  // The supervisor dies between the intent to launch and the launch, and again while it stops an attempt.
  "killed-supervisor": {
    seed: 3,
    file: simulatedRun({ steps: 12, faults: { ascend: [{ kind: "oom", rank: 1, step: 5 }] } }),
    kills: [
      { append: 4, when: "after" },
      { append: 20, when: "after" },
    ],
  },
};

test.each(Object.entries(scenarios))("%s", async (name, simulation) => {
  const { events, violations } = await simulate(simulation);
  expect(violations).toEqual([]);
  await expect(transcript(events)).toMatchFileSnapshot(`${name}.txt`);
});
