/**
 * The claim of the whole: undisturbed with one to four workers, and through ten faults on two pools, a run ends in the same
 * bytes. Real engine, real processes, real signals, through the real command line.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { stringify } from "yaml";
import type { TrainDocument } from "../../src/journal/select.ts";
import { random } from "../../src/spec/random.ts";
import { dualgauge, temporaryFolder } from "./command.ts";
import { leftovers, nothing } from "./leftovers.ts";
import { tinyRun } from "./tiny-run.ts";

const steps = 36;

/** Which kinds strike which pool, in order of their steps; the third ending of the first pool makes the run leave it. */
const first = ["crash", "nan", "hang", "bitflip", "linkdown"] as const;
const second = ["exit", "slow", "nospace", "oom", "crash"] as const;

/** Steps at random, each kind on a random rank: what is drawn decides when, never whether, a fault strikes. */
function faultsOf(
  kinds: readonly string[],
  { seed, from, below }: { seed: number; from: number; below: number },
): Record<string, unknown>[] {
  const dice = random(seed, `real faults from step ${from}`);
  const drawn = new Set<number>();
  while (drawn.size < kinds.length) drawn.add(from + dice.below(below - from));
  const sorted = [...drawn].sort((a, b) => a - b);
  return kinds.map((kind, index) => {
    const step = sorted[index] ?? from;
    // Only what one rank sends to another can be spoilt on its way, and only rank 0 writes.
    const rank = kind === "bitflip" ? 1 : kind === "nospace" ? 0 : dice.below(2);
    return {
      kind,
      step,
      rank,
      ...(kind === "slow" ? { factor: 3, steps: 4 } : {}),
      ...(kind === "exit" ? { code: 3 } : {}),
    };
  });
}

test("undisturbed with 1 to 4 workers, and through ten faults on two pools: the same bytes", {
  timeout: 240_000,
}, async () => {
  using folder = temporaryFolder();
  const text = join(folder.path, "text.txt");
  writeFileSync(
    text,
    Array.from({ length: 300 }, (_, line) => `line ${line}: the whale of ${line * 7} fathoms\n`).join(""),
  );

  async function train(name: string, change: (run: ReturnType<typeof tinyRun>) => object): Promise<TrainDocument> {
    const runFile = join(folder.path, `${name}.yaml`);
    writeFileSync(runFile, stringify(change(tinyRun({ files: [text], steps }))));
    const dir = join(folder.path, name);
    const { code, stdout, stderr } = await dualgauge("train", runFile, "--dir", dir, "--json");
    expect(code, stderr).toBe(0);
    expect(leftovers("tiny", dir)).toEqual(nothing);
    return JSON.parse(stdout);
  }

  const hashes = new Set<string | null>();
  for (const workers of [1, 2, 3, 4]) {
    const document = await train(`undisturbed-${workers}`, (run) => ({
      ...run,
      pools: [{ name: "alpha", workers, emulate: { platform: "ascend" } }],
    }));
    expect(document).toMatchObject({ state: "finished", steps, attempts: 1, faults: [] });
    hashes.add(document.weightsSha256);
  }
  expect([...hashes], "one to four workers").toHaveLength(1);

  const seed = 5;
  const faulty = await train("faulty", (run) => ({
    ...run,
    pools: [
      {
        name: "alpha",
        workers: 2,
        emulate: { platform: "ascend", faults: faultsOf(first, { seed, from: 2, below: 14 }) },
      },
      {
        name: "beta",
        workers: 2,
        emulate: { platform: "nvidia", faults: faultsOf(second, { seed, from: 16, below: 34 }) },
      },
    ],
    failover: { maxFaultsPerPool: 2, maxFaultsPerProductiveHour: 1e9 },
  }));
  expect(faulty).toMatchObject({ state: "finished", steps, failovers: 1, pool: "beta", lostSteps: 0 });
  const injected = faulty.faults.filter(({ injected }) => injected);
  expect(injected.map(({ kind, fired }) => [kind, fired]).sort()).toEqual(
    [...first, ...second].map((kind) => [kind, true]).sort(),
  );
  hashes.add(faulty.weightsSha256);
  expect([...hashes], "through ten faults").toHaveLength(1);
});
