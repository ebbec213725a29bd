import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StepLoad } from "../cost/inference-step.ts";
import { type BatchingPolicy, playServing, type RequestLoad, steadyServing } from "./serving-run.ts";

const policy: BatchingPolicy = {
  sequencesMax: 64,
  stepTokensMax: 1024,
  cacheTokens: 1e6,
  outputReserved: 1,
  mixed: true,
  ranks: 1,
};
const load: RequestLoad = { requests: 32, promptTokens: 100, outputTokens: 50, spread: false, prefixHit: 0 };
const pairs = (from: number, to: number): number => (to * to - from * from) / 2;
/** A server whose steps all take a second. */
const second = (): number => 1;
/** A server that takes a second per thousand tokens and nothing else. */
const perToken = (step: StepLoad): number => (step.promptTokens + step.sequences) / 1000 + 1e-9;

describe("playing a load", () => {
  test("by hand: 1,024 tokens a step read ten prompts a step; each sequence decodes 49 more steps", () => {
    const outcome = playServing(second, policy, { ...load, requests: 10 }, pairs);
    expect(outcome.seconds).toBe(50);
    expect(outcome.ttftSeconds).toBe(1);
    expect(outcome.tpotSeconds).toBeCloseTo(1, 9);
    expect(outcome.outputTokensPerSecond).toBe(10);
  });
  test("work is conserved: every prompt and output token is processed once, whatever the limits", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 3000 }),
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 40 }),
        fc.boolean(),
        fc.boolean(),
        (requests, promptTokens, outputTokens, sequencesMax, mixed, spread) => {
          let prompts = 0;
          let read = 0;
          let busy = 0;
          const count = (step: StepLoad): number => {
            prompts += step.prompts;
            read += step.promptTokens;
            busy = Math.max(busy, step.sequences);
            return 1;
          };
          const given = { ...load, requests, promptTokens, outputTokens, spread };
          const outcome = playServing(count, { ...policy, sequencesMax, mixed }, given, pairs);
          expect(prompts).toBe(requests);
          expect(read).toBeCloseTo(requests * promptTokens, 3);
          expect(busy).toBeLessThanOrEqual(sequencesMax);
          expect(outcome.seconds).toBeGreaterThanOrEqual(outputTokens > 1 && !spread ? outputTokens - 1 : 0);
        },
      ),
      { seed: 11, numRuns: 60 },
    );
  });
  test("a cache for two requests runs two at a time", () => {
    let most = 0;
    const watch = (step: StepLoad): number => {
      most = Math.max(most, step.sequences);
      return 1;
    };
    playServing(watch, { ...policy, cacheTokens: 310 }, load, pairs);
    expect(most).toBe(2);
  });
  test("a prefix cache spares reading, not room", () => {
    const whole = playServing(perToken, policy, load, pairs);
    const half = playServing(perToken, policy, { ...load, prefixHit: 0.5 }, pairs);
    expect(whole.seconds - half.seconds).toBeCloseTo((32 * 50) / 1000, 6);
  });
  test("below saturation a rate is served as it comes", () => {
    const slow = playServing(() => 0.01, policy, { ...load, requestsPerSecond: 0.5, requests: 20 }, pairs);
    expect(slow.ttftSeconds).toBeLessThanOrEqual(0.0201);
    expect(slow.seconds).toBeCloseTo(19 / 0.5 + 0.5, 1);
  });
  test("a closed loop holds its concurrency", () => {
    const outcome = playServing(() => 0.1, policy, { ...load, concurrency: 4 }, pairs);
    expect(outcome.meanSequences).toBeLessThanOrEqual(4);
    expect(outcome.meanSequences).toBeGreaterThan(3.5);
  });
  test("drafting two tokens of which half a one survives halves no less than the accepted share of steps", () => {
    const alone = playServing(second, policy, { ...load, requests: 1 }, pairs);
    const drafted = playServing(second, policy, { ...load, requests: 1 }, pairs, { accepted: 2, verified: 3 });
    expect(alone.seconds).toBe(50);
    expect(drafted.seconds).toBe(26);
  });
  test("absurd lengths end instead of running for ever", () => {
    const outcome = playServing(second, policy, { ...load, promptTokens: 1e10 }, pairs);
    expect(outcome.seconds).toBe(1_000_000);
    expect(outcome.outputTokensPerSecond).toBe(0);
  });
  test("a long run settles where the closed form says", () => {
    const many = playServing(perToken, { ...policy, sequencesMax: 40 }, { ...load, requests: 4000 }, pairs);
    const settled = steadyServing(perToken, 40, load, true, pairs);
    expect(many.outputTokensPerSecond / settled.outputTokensPerSecond).toBeGreaterThan(0.97);
    expect(many.outputTokensPerSecond / settled.outputTokensPerSecond).toBeLessThan(1.03);
  });
});
