/** Tests that a canary that differs goes, and one that differs no more than the others do stays. */
import { expect, test } from "vitest";
import { random } from "../../spec/random.ts";
import { agreementOf, judge, keepSample, type Sample } from "./canary.ts";

const policy = { samplesMin: 20, tolerance: 0.1 };
const draw = random(6, "canary-test");
const text = "The whale is a mammal, and the sea is where it lives and breathes and sings.";
/** `text` up to a place drawn at random, then something else. */
const parted = (): string => `${text.slice(0, draw.below(text.length))}…`;
const many = (make: () => Sample, count = 60): Sample[] => Array.from({ length: count }, make);

test("equal texts stay, different ones go, and not before enough samples", () => {
  const equal = { canary: text, other: text, otherAgain: text };
  expect(
    judge(
      many(() => equal),
      policy,
    ),
  ).toEqual({ samples: 60, agreement: 1, selfAgreement: 1, rollBack: undefined });
  const different = () => ({ ...equal, canary: parted() });
  expect(judge(many(different, 19), policy).rollBack).toBeUndefined();
  expect(judge(many(different, 20), policy).rollBack).toMatch(
    /agree to \d+ % .* 100 % with themselves, over 20 requests/,
  );
});

test("a canary is not blamed for what the others do themselves", () => {
  expect(
    judge(
      many(() => ({ canary: parted(), other: text, otherAgain: parted() }), 200),
      policy,
    ).rollBack,
  ).toBeUndefined();
});

test("one bad sample in fifty is within the tolerance, one in two is not", () => {
  const sample = (bad: boolean): Sample => ({ canary: bad ? "no" : text, other: text, otherAgain: text });
  expect(
    judge(
      Array.from({ length: 100 }, (_, n) => sample(n % 50 === 0)),
      policy,
    ).rollBack,
  ).toBeUndefined();
  expect(
    judge(
      Array.from({ length: 100 }, (_, n) => sample(n % 2 === 0)),
      policy,
    ).rollBack,
  ).toBeDefined();
});

test("agreement is the common beginning", () => {
  expect([agreementOf("", ""), agreementOf("abcd", "abxx"), agreementOf("ab", "abcd"), agreementOf("", "x")]).toEqual([
    1, 0.5, 0.5, 0,
  ]);
});

test("only the newest samples are kept", () => {
  let samples: readonly Sample[] = [];
  for (let n = 0; n < 300; n++) samples = keepSample(samples, { canary: String(n), other: "", otherAgain: "" });
  expect(samples.length).toBe(200);
  expect(samples.at(-1)?.canary).toBe("299");
});
