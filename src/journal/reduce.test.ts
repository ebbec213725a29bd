/** The state of a run: prefix and rest make the whole, steps count once, lost steps and the time to recover are told. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type EventDraft, parseEvent, type RunEvent } from "./event.ts";
import { illegal } from "./legal.ts";
import { reduce } from "./reduce.ts";
import { ettr, faultReports, statusDocument, trainDocument } from "./select.ts";
import { initialState } from "./state.ts";

const created: EventDraft = {
  type: "run-created",
  data: {
    name: "r",
    identity: "i",
    steps: 10,
    pools: [
      { name: "a", platform: "ascend", emulated: true, workers: 2, spares: 1 },
      { name: "n", platform: "nvidia", emulated: true, workers: 2, spares: 0 },
    ],
    order: ["a", "n"],
    injections: [
      { fault: "a/0", pool: "a", kind: "crash", rank: 1, step: 4 },
      { fault: "n/0", pool: "n", kind: "hang", rank: 0, step: 9 },
    ],
    memoryFolder: "/dev/shm/r",
    folder: "/home/me",
    memoryBacked: true,
  },
};
const memory = (step: number) => ({ path: `/dev/shm/r/step-${step}`, step, tier: "memory" as const });
const launch = (pool: string, step: number): EventDraft => ({
  type: "launch-intended",
  data: { pool, nodes: [`${pool}-0`, `${pool}-1`], resume: step === 0 ? null : memory(step), why: "test" },
});
const progress = (step: number, seq: number): EventDraft => ({
  type: "progress",
  data: { step, steps: 1, seconds: 2, tokens: 8, loss: 5 - step / 10, gradNorm: 1, source: { rank: 0, seq } },
});
const publish = (step: number, seq: number): EventDraft => ({
  type: "checkpoint-published",
  data: { checkpoint: memory(step), seconds: 0.1, source: { rank: 0, seq } },
});
const fault: EventDraft = {
  type: "fault-detected",
  data: {
    id: 0,
    kind: "process-signal",
    category: "instability",
    scope: "node",
    advice: "restart",
    rank: 1,
    peer: null,
    node: "a-1",
    root: "process-signal a-1",
    step: 4,
    detectedBy: "exit",
    detectSeconds: 0.05,
    retried: false,
    recoverSeconds: null,
    why: "rank 1 was killed",
    evidence: ["SIGKILL"],
    source: null,
  },
};

/** A journal in which rank 1 dies at step 4, one step is lost and pool n finishes. */
const drafts: EventDraft[] = [
  created,
  { type: "supervisor-started", data: { process: { pid: 7, startTicks: 1 }, host: "h", version: "0" } },
  launch("a", 0),
  { type: "launched", data: { agent: { pid: 8, startTicks: 2 }, adopted: false } },
  { type: "worker-started", data: { rank: 1, process: { pid: 9, startTicks: 3 }, source: { rank: -1, seq: 1 } } },
  publish(1, 1),
  progress(1, 2),
  publish(2, 3),
  progress(2, 4),
  progress(3, 5),
  { type: "fault-injected", data: { fault: "a/0", kind: "crash", rank: 1, step: 4, source: { rank: 1, seq: 4 } } },
  { type: "worker-exited", data: { rank: 1, code: null, signal: "SIGKILL", source: { rank: -1, seq: 2 } } },
  fault,
  {
    type: "decided",
    data: {
      fault: 0,
      action: "fail-over",
      pool: "n",
      nodes: ["n-0", "n-1"],
      evicted: null,
      beforeStep: null,
      fails: false,
      why: "budget",
      evidence: [],
    },
  },
  { type: "stop-intended", data: { why: "fault 0" } },
  { type: "attempt-ended", data: { outcome: "fault", why: "fault 0" } },
  { type: "resume-chosen", data: { checkpoint: memory(2) } },
  launch("n", 2),
  { type: "launched", data: { agent: null, adopted: false } },
  progress(3, 1),
  { type: "recovered", data: { fault: 0, recoverSeconds: 1.5, lostSteps: 1 } },
  progress(4, 2),
];

function journal(list: readonly EventDraft[]): RunEvent[] {
  let epoch = 0;
  return list.map((draft, index) => {
    if (draft.type === "launch-intended") epoch++;
    return { ...draft, seq: index + 1, at: 1000 + index, run: "r", epoch, v: 1 } as RunEvent;
  });
}

describe("reduce", () => {
  const events = journal(drafts);

  test("every event of the journal parses and is legal", () => {
    let state = initialState;
    for (const event of events) {
      expect(parseEvent(JSON.parse(JSON.stringify(event)))).toEqual({ event });
      expect(illegal(state, event), event.type).toBeUndefined();
      state = reduce([event], state);
    }
  });

  test("a prefix, then the rest, reduces to the whole", () => {
    fc.assert(
      fc.property(fc.nat(events.length), (cut) => {
        expect(reduce(events.slice(cut), reduce(events.slice(0, cut)))).toEqual(reduce(events));
      }),
    );
  });

  test("is total: any order of events gives a state, never an exception", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(events), (shuffled) => {
        expect(reduce(shuffled).faults.length).toBeLessThanOrEqual(1);
      }),
    );
  });

  test("a step computed again is not productive again, and its loss is told", () => {
    const state = reduce(events);
    expect(state).toMatchObject({
      step: 4,
      highestStep: 4,
      lostSteps: 1,
      attempts: 2,
      epoch: 2,
      pool: "n",
      failovers: 1,
    });
    expect(state.productiveSeconds).toBe(8);
    expect(state.poolsLeft).toEqual(["a"]);
    expect(ettr(state)).toBeCloseTo(8 / 21);
  });

  test("the fault explains the injected crash, and the one that never struck is told", () => {
    expect(faultReports(reduce(events))).toMatchObject([
      {
        kind: "crash",
        detectedKind: "process-signal",
        rank: 1,
        pool: "a",
        action: "fail-over",
        fired: true,
        lostSteps: 1,
      },
      { kind: "hang", pool: "n", fired: false, detectedBy: null },
    ]);
  });

  test("documents hold what others depend on", () => {
    const state = reduce(events);
    expect(statusDocument(state)).toMatchObject({ state: "training", attempt: 2, epoch: 2, pool: "n", step: 4 });
    expect(trainDocument(state)).toMatchObject({
      steps: 4,
      attempts: 2,
      failovers: 1,
      lostSteps: 1,
      weightsSha256: null,
    });
  });
});

describe("legal", () => {
  const events = journal(drafts);
  const at = (count: number) => reduce(events.slice(0, count));
  const next = (count: number, draft: EventDraft, epoch = at(count).epoch): string | undefined =>
    illegal(at(count), { ...draft, seq: count + 1, at: 5000, run: "r", epoch, v: 1 } as RunEvent);

  test("a launch while an attempt lives is refused", () => {
    expect(next(5, launch("a", 0), 2)).toMatch(/has not ended/);
  });
  test("step 0 is refused once a checkpoint was published", () => {
    expect(next(17, launch("n", 0), 2)).toMatch(/step 0 after a checkpoint/);
  });
  test("a record that was counted is refused, and so is a step that falls", () => {
    expect(next(10, progress(4, 5))).toMatch(/counted already/);
    expect(next(10, progress(3, 6))).toMatch(/after step 3/);
  });
  test("an epoch that skips is refused", () => {
    expect(next(17, launch("n", 2), 3)).toMatch(/epoch 3, not 2/);
  });
});

test("an unknown version and an unknown type are refused by name", () => {
  expect(parseEvent({ type: "progress", v: 2 })).toEqual({ problem: "progress: unknown version 2" });
  expect(parseEvent({ type: "__proto__", v: 1 })).toEqual({ problem: "unknown event type __proto__" });
});
