/** The gateway under chaos: a few seconds here, a minute with `npm run chaos` (CHAOS_SECONDS, CHAOS_SEED, CHAOS_STREAMS change it). */
import { expect, test } from "vitest";
import { runChaos } from "./chaos.ts";
import { illnesses } from "./mock-backend.ts";

const seconds = Number(process.env.CHAOS_SECONDS ?? 8);
const seed = Number(process.env.CHAOS_SEED ?? 6);
const streams = Number(process.env.CHAOS_STREAMS ?? 200);

test(`no answer is lost or doubled while backends break for ${seconds} s (replay: CHAOS_SEED=${seed} npm run chaos)`, {
  timeout: (seconds + 300) * 1000,
}, async () => {
  const report = await runChaos({ seed, seconds, streams });
  const { wrong, refused, ...figures } = report;
  process.stderr.write(`chaos: ${JSON.stringify({ ...figures, wrong: wrong.length, refused: refused.length })}\n`);
  expect(wrong.slice(0, 3)).toEqual([]);
  expect(report.right / report.requests, refused.slice(0, 3).join("\n")).toBeGreaterThanOrEqual(0.999);
  // What did not strike proves nothing.
  expect(Object.keys(report.struck).sort()).toEqual([...illnesses].sort());
  expect(report.continued).toBeGreaterThan(0);
});
