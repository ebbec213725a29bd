/** What a program prints and tells becomes events; what is odd or hostile becomes notes, and nothing throws. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { WorkerEvent } from "../spec/worker-event.ts";
import { type Note, translator } from "./translate.ts";

function open(options: { steps?: number; step?: number } = {}) {
  const notes: Note[] = [];
  let now = 100;
  const made = translator({
    ...{ run: "r", epoch: 3, adapter: "plain", steps: 0, step: 0, ...options },
    monotonicSeconds: () => now++,
    onNote: (note) => notes.push(note),
  });
  return { made, notes };
}
const header = { v: 1, run: "r", epoch: 3, rank: 0, seq: 1 };
const step = (fields: object = {}): string => JSON.stringify({ ...header, ev: "step", step: 1, seconds: 1, ...fields });

test("steps count up, each once, with the agent's own numbers", () => {
  const { made } = open();
  const lines = ["step 1 loss 3", "step 1 loss 3", "step 3 loss 2", "step 2 loss 9"];
  const events = lines.flatMap((line) => made.line(1, line));
  expect(events).toMatchObject([
    { ev: "step", seq: 1, rank: 1, step: 1, loss: 3, seconds: 0 },
    { ev: "step", seq: 2, rank: 1, step: 3, loss: 2 },
  ]);
  expect(made.step).toBe(3);
});

test("a loss that is NaN is a fault, once a step", () => {
  const { made } = open();
  expect(made.line(0, "step 5 loss nan")).toMatchObject([
    { ev: "fault", kind: "nan", step: 5, retried: false },
    { ev: "step", step: 5 },
  ]);
  expect(made.line(1, "step 5 loss nan").map(({ ev }) => ev)).toEqual(["step"]);
});

test("what is told is checked: version, numbers, prototype keys, ranks, epochs, repetitions", () => {
  const { made, notes } = open({ steps: 100 });
  const hostile = [
    ...["no json", "[]", "null", '{"v":2}', step({ v: 2 }), step({ step: 1e300 }), step({ seconds: -1 })],
    ...[step({ extra: 1 }), `{"__proto__":{"ev":"step"},${step().slice(1)}`, step({ loss: "1" })],
    step().replace('"seconds":1', '"seconds":1e999'),
  ];
  for (const line of hostile) expect(made.told(0, line)).toEqual([]);
  expect(notes.filter(({ what }) => what === "malformed event").map(({ count }) => count)).toEqual([1, 10]);
  expect(made.told(0, step({ rank: 7 }))).toEqual([]);
  expect(made.told(0, step({ run: "other" }))).toEqual([]);
  expect(made.told(0, step({ epoch: 2 }))).toEqual([]);
  expect(made.told(0, step({ seq: 2, step: 101 }))).toEqual([]);
  expect(notes.map(({ what }) => what)).toContain("event of somebody else");
  expect(notes.map(({ what }) => what)).toContain("step beyond the last");
  expect(made.told(0, step({ seq: 3, loss: 2.5, tokens: 64 }))).toMatchObject([
    { ev: "step", step: 1, loss: 2.5, tokens: 64 },
  ]);
  expect(made.told(0, step({ seq: 3, step: 2 }))).toEqual([]);
  expect(Object.keys(Object.prototype)).toEqual([]);
});

test("any line gives valid events and never throws", () => {
  const { made } = open();
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc.string().map((s) => `step 1${s} loss ${s}`),
      ),
      (line) => {
        for (const event of [...made.line(0, line), ...made.told(0, line)]) WorkerEvent.parse(event);
      },
    ),
    { seed: 5, numRuns: 500 },
  );
});
