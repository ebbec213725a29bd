/** Tests where requests go: by speed, load, weight, price and conversation. */
import { describe, expect, test } from "vitest";
import { type Candidate, choose, expectedSeconds, hashText } from "./choose.ts";

const make = (name: string, changes: Partial<Candidate> = {}): Candidate => ({
  ...{ name, inFlight: 0, capacity: 10, weight: 1, dollarsPerMillionTokens: 0 },
  ...{ firstTokenSeconds: 0.1, secondsPerToken: 0.01, unmeasuredSeconds: 0, ...changes },
});
const wanted = (conversation: number) => ({
  promptTokens: 1000,
  answerTokens: 100,
  conversation: hashText(`c${conversation}`),
});
const strict = { secondsPerDollar: 0, affinitySlack: 1 };
const loose = { secondsPerDollar: 0, affinitySlack: 1.5 };
const counts = (candidates: Candidate[], policy = loose): Record<string, number> => {
  const count: Record<string, number> = {};
  for (let n = 0; n < 4000; n++) {
    const name = choose(candidates, wanted(n), policy)?.name ?? "none";
    count[name] = (count[name] ?? 0) + 1;
  }
  return count;
};

test("the seconds are those worked out by hand", () => {
  const busy = make("a", { inFlight: 11, weight: 2, dollarsPerMillionTokens: 4 });
  // (0.1 + 100 × 0.01) × (1 + 1.1 + 0.2) / 2 + 1100 × 4e-6 × 10
  expect(expectedSeconds(busy, wanted(1), { secondsPerDollar: 10, affinitySlack: 1 })).toBeCloseTo(1.265 + 0.044, 9);
});

describe("the best one", () => {
  test("is the faster, until it is crowded", () => {
    const slow = make("slow", { secondsPerToken: 0.02 });
    expect(counts([make("fast"), slow], strict)).toEqual({ fast: 4000 });
    expect(counts([make("fast", { inFlight: 15 }), slow], strict)).toEqual({ slow: 4000 });
  });
  test("is the cheaper when money is worth enough", () => {
    const pair = [make("dear", { dollarsPerMillionTokens: 10 }), make("cheap", { firstTokenSeconds: 0.3 })];
    expect(counts(pair, strict)).toEqual({ dear: 4000 });
    expect(counts(pair, { ...strict, secondsPerDollar: 100 })).toEqual({ cheap: 4000 });
  });
  test("of none is none", () => expect(choose([], wanted(1), loose)).toBeUndefined());
});

describe("conversations", () => {
  test("spread evenly, or by weight", () => {
    const even = counts([make("a"), make("b"), make("c")]);
    for (const share of Object.values(even)) expect(share / 4000).toBeCloseTo(1 / 3, 1);
    const heavy = counts([make("a", { weight: 1.4 }), make("b")]);
    expect(heavy.a! / heavy.b!).toBeGreaterThan(1.25);
    expect(heavy.a! / heavy.b!).toBeLessThan(1.6);
  });
  test("move only off a backend that left", () => {
    const all = [make("a"), make("b"), make("c")];
    for (let n = 0; n < 500; n++) {
      const before = choose(all, wanted(n), loose)?.name;
      const after = choose(all.slice(0, 2), wanted(n), loose)?.name;
      if (before !== "c") expect(after).toBe(before);
    }
  });
  test("leave a home that is full or too slow", () => {
    expect(counts([make("a", { inFlight: 10, capacity: 10 }), make("b")])).toEqual({ b: 4000 });
    expect(counts([make("a", { secondsPerToken: 0.02 }), make("b")])).toEqual({ b: 4000 });
  });
  test("try a home again that was too slow, once long enough ago and one at a time; no other conversation does", () => {
    const b = make("b");
    const mine = counts([make("a"), b]).a ?? 0;
    // Ten times slower is doubted after 30 s × log2(10 / 1.5), which is 82 s.
    const slow = { firstTokenSeconds: 1, secondsPerToken: 0.1 };
    expect(counts([make("a", { ...slow, unmeasuredSeconds: 80 }), b])).toEqual({ b: 4000 });
    expect(counts([make("a", { ...slow, unmeasuredSeconds: 83 }), b])).toEqual({ a: mine, b: 4000 - mine });
    expect(counts([make("a", { ...slow, unmeasuredSeconds: 83, inFlight: 1 }), b])).toEqual({ b: 4000 });
  });
});
