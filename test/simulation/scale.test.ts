/** Measures for `npm run bench -- scale`: how long one supervisor's tick is with ten thousand workers, in health and when all fall at once. */
import { writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { Clock } from "../../src/host/clock.ts";
import type { Launcher } from "../../src/launcher/launcher.ts";
import { mishap } from "../../src/launcher/simulated-mishap.ts";
import { simulate, simulatedRun } from "./simulate.ts";

const { SCALE } = process.env;

/** Processor and wall seconds of every stretch in which the supervisor worked, without the simulated workers' own. */
function stopwatch() {
  const ticks: { wall: number; cpu: number; at: number }[] = [];
  let since: { wall: number; cpu: number } | undefined;
  const now = () => {
    const { user, system } = process.cpuUsage();
    return { wall: performance.now() / 1000, cpu: (user + system) / 1e6 };
  };
  const pause = (at: number): void => {
    if (since === undefined) return;
    const { wall, cpu } = now();
    ticks.push({ wall: wall - since.wall, cpu: cpu - since.cpu, at });
    since = undefined;
  };
  const watchClock = (clock: Clock): Clock => ({
    ...clock,
    async wait(seconds, wake) {
      pause(clock.monotonicSeconds());
      await clock.wait(seconds, wake);
      since = now();
    },
  });
  // What the launcher does in a launch is the simulation starting ten thousand workers.
  const between = (launcher: Launcher): Launcher => ({
    ...launcher,
    async launch(order) {
      pause(0);
      const launched = await launcher.launch(order);
      since = now();
      return launched;
    },
    async stop(epoch, graceSeconds) {
      pause(0);
      const stopped = await launcher.stop(epoch, graceSeconds);
      since = now();
      return stopped;
    },
  });
  return { ticks, watchClock, between };
}

test.skipIf(SCALE === undefined)(
  "what `npm run bench -- scale` asks for (skipped: nobody asked)",
  async () => {
    const { out, workers }: { out: string; workers: readonly number[] } = JSON.parse(SCALE ?? "{}");
    const rows: object[] = [];
    for (const count of workers) {
      const { ticks, watchClock, between } = stopwatch();
      const falls = mishap({ kind: "end", code: null, signal: "SIGKILL", step: 25, rank: 0 });
      const result = await simulate({
        ...{ seed: 1, file: simulatedRun({ steps: 40 }), workers: count, mishaps: [falls], watchClock, between },
        temper: { jitter: 0.05, pauseChance: 0, pauseSeconds: 0, startSeconds: 1, stepSeconds: 1 },
      });
      expect(result.violations).toEqual([]);
      expect(result.state.phase).toBe("finished");
      expect(falls.fired).toBe(1);
      const fell = (result.cluster.struckAt[0] ?? 0) - 0.5;
      const steady = ticks.filter(({ at }) => at > 1_005 && at < fell);
      const mass = ticks.filter(({ at }) => at === 0 || (at >= fell && at < fell + 5));
      expect(steady.length).toBeGreaterThan(50);
      rows.push({ workers: count, steady: summary(steady), mass: summary(mass), events: result.events.length });
      writeFileSync(out, JSON.stringify(rows));
    }
  },
  600_000,
);

function summary(ticks: readonly { wall: number; cpu: number }[]) {
  const of = (key: "wall" | "cpu") => {
    const sorted = ticks.map((tick) => tick[key]).sort((a, b) => a - b);
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
    return { median: at(0.5), p99: at(0.99), worst: at(1) };
  };
  return { ticks: ticks.length, wall: of("wall"), cpu: of("cpu") };
}
