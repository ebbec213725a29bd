/** The story of a run as a reader sees it: a golden transcript of a scripted journal, and limits that hold for any text. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { EventData, EventDraft, RunEvent } from "../../journal/event.ts";
import { illegal } from "../../journal/legal.ts";
import { reduce } from "../../journal/reduce.ts";
import { faultReports } from "../../journal/select.ts";
import { initialState } from "../../journal/state.ts";
import { columns, type Line, moment, printable, wrap } from "./layout.ts";
import { narrate } from "./narrate.ts";
import { faultTable } from "./outcome.ts";

const memory = (step: number) => ({ path: `/dev/shm/dualgauge-0/story/step-${step}`, step, tier: "memory" as const });
const disk = (step: number) => ({ path: `/runs/story/checkpoints/step-${step}`, step, tier: "disk" as const });
const seqs = new Map<number, number>();
const source = (rank: number) => {
  const seq = (seqs.get(rank) ?? 0) + 1;
  seqs.set(rank, seq);
  return { rank, seq };
};
const launch = (pool: string, nodes: string[], step: number): EventDraft[] => {
  seqs.clear();
  return [
    { type: "launch-intended", data: { pool, nodes, resume: step === 0 ? null : memory(step), why: "test" } },
    { type: "launched", data: { agent: null, adopted: false } },
  ];
};
const steps = (from: number, to: number): EventDraft[] =>
  Array.from({ length: to - from }, (_, index) => ({
    type: "progress" as const,
    data: {
      step: from + index + 1,
      steps: 1,
      seconds: 0.8,
      tokens: 2048,
      loss: 5.5 - (from + index) / 12,
      gradNorm: 1,
      source: source(0),
    },
  }));
const fault = (id: number, data: Partial<EventData["fault-detected"]>): EventDraft => ({
  type: "fault-detected",
  data: {
    id,
    kind: "process-signal",
    category: "instability",
    scope: "node",
    advice: "restart",
    rank: 1,
    peer: null,
    node: "ascend-1",
    root: `process-signal ascend-1`,
    step: 4,
    detectedBy: "exit",
    detectSeconds: 0.06,
    retried: false,
    recoverSeconds: null,
    why: "the worker of rank 1 was killed from outside",
    evidence: ["rank 1 ended by SIGKILL", "rank 0 lost its link to rank 1"],
    source: null,
    ...data,
  },
});
const decide = (id: number, data: Partial<EventData["decided"]>): EventDraft[] => [
  {
    type: "decided",
    data: {
      fault: id,
      action: "restart",
      pool: "ascend",
      nodes: ["ascend-0", "ascend-1"],
      evicted: null,
      beforeStep: null,
      why: "first fault of this root on ascend-1",
      evidence: [],
      fails: false,
      ...data,
    },
  },
  { type: "stop-intended", data: { why: `fault ${id}` } },
  { type: "attempt-ended", data: { outcome: "fault", why: `fault ${id}` } },
];
const strike = (index: number, kind: string, rank: number, step: number): EventDraft => ({
  type: "fault-injected",
  data: { fault: `ascend/${index}`, kind, rank, step, source: source(rank) },
});

function drafts(): EventDraft[] {
  seqs.clear();
  const injections = ["crash", "nan", "hang", "bitflip"].map((kind, index) => ({
    fault: `ascend/${index}`,
    pool: "ascend",
    kind,
    rank: 1,
    step: 4 + index * 4,
  }));
  return [
    {
      type: "run-created",
      data: {
        name: "story",
        identity: "0".repeat(64),
        steps: 24,
        pools: [
          { name: "ascend", platform: "ascend", emulated: true, workers: 2, spares: 1 },
          { name: "nvidia", platform: "nvidia", emulated: true, workers: 2, spares: 0 },
        ],
        order: ["ascend", "nvidia"],
        injections,
        memoryFolder: "/dev/shm/dualgauge-0/story",
        folder: "/home/reader",
        memoryBacked: true,
      },
    },
    { type: "supervisor-started", data: { process: { pid: 7, startTicks: 1 }, host: "h", version: "0" } },
    ...launch("ascend", ["ascend-0", "ascend-1"], 0),
    ...steps(0, 3),
    strike(0, "crash", 1, 4),
    fault(0, {}),
    ...decide(0, {}),
    { type: "resume-chosen", data: { checkpoint: memory(3) } },
    ...launch("ascend", ["ascend-0", "ascend-1"], 3),
    ...steps(3, 4),
    { type: "recovered", data: { fault: 0, recoverSeconds: 1.4, lostSteps: 0 } },
    ...steps(4, 7),
    strike(1, "nan", 1, 8),
    fault(1, {
      kind: "nan",
      category: "numerics",
      scope: "device",
      step: 8,
      detectedBy: "gradient check",
      detectSeconds: 0.001,
      retried: true,
      recoverSeconds: 0.4,
      why: "a gradient of rank 1 held a NaN; computed anew it did not",
      evidence: ["micro-batch 3: 1 NaN in model.layers.1.mlp.gate.weight"],
      source: source(0),
    }),
    ...steps(7, 10),
    {
      type: "checkpoint-published",
      data: { checkpoint: disk(10), seconds: 0.2, source: source(0) },
    },
    strike(2, "hang", 1, 12),
    { type: "blinded", data: { view: "agent log", why: "EACCES" } },
    { type: "sighted", data: { view: "agent log" } },
    fault(2, {
      kind: "hang",
      step: 11,
      detectedBy: "progress",
      detectSeconds: 4.1,
      root: "hang ascend-1",
      why: "no step was completed for 4.1 s and rank 1 is not waiting for anybody",
      evidence: ["rank 0 waits for rank 1", "rank 1 is in state T (stopped)"],
    }),
    ...decide(2, {
      action: "fail-over",
      pool: "nvidia",
      nodes: ["nvidia-0", "nvidia-1"],
      why: "2 restarting faults in 8.0 s are more than the pool's budget of 1",
      evidence: ["budget: maxFaultsPerPool 1", "the spare ascend-2 would not change the rate"],
    }),
    {
      type: "checkpoint-quarantined",
      data: { checkpoint: disk(10), to: "/runs/story/quarantine/step-10", why: "weights.safetensors: hash differs" },
    },
    { type: "checkpoint-promoted", data: { from: memory(10).path, checkpoint: disk(10) } },
    { type: "resume-chosen", data: { checkpoint: memory(10) } },
    ...launch("nvidia", ["nvidia-0", "nvidia-1"], 10),
    ...steps(10, 11),
    { type: "recovered", data: { fault: 2, recoverSeconds: 6.3, lostSteps: 0 } },
    { type: "supervisor-stopped", data: { reason: "signal", signal: "SIGINT" } },
    { type: "supervisor-started", data: { process: { pid: 8, startTicks: 1 }, host: "h", version: "0" } },
    { type: "adopted", data: { agent: null } },
    ...steps(11, 24),
    { type: "validation", data: { step: 24, loss: 3.71, source: source(0) } },
    { type: "completed", data: { step: 24, loss: 3.583, weightsSha256: "ab".repeat(32), source: source(0) } },
    { type: "attempt-ended", data: { outcome: "completed", why: "the last step is done" } },
    { type: "finish-intended", data: { step: 24 } },
    { type: "run-finished", data: { checkpoint: disk(24), finalLoss: 3.583, weightsSha256: "ab".repeat(32) } },
  ];
}

function journal(list: readonly EventDraft[]): RunEvent[] {
  let epoch = 0;
  return list.map((draft, index) => {
    if (draft.type === "launch-intended") epoch++;
    return { ...draft, seq: index + 1, at: 1_700_000_000 + index * 0.8, run: "story", epoch, v: 1 } as RunEvent;
  });
}

function tell(events: readonly RunEvent[]): Line[] {
  let state = initialState;
  return events.flatMap((event) => {
    expect(illegal(state, event), `${event.type} at ${event.seq}`).toBeUndefined();
    const before = state;
    state = reduce([event], state);
    return narrate(before, event, state);
  });
}
const textOf = (lines: readonly Line[]): string => `${lines.map(({ text }) => text).join("\n")}\n`;

describe("a run over two pools", () => {
  const events = journal(drafts());

  test("is told as the golden transcript says", async () => {
    const told = [...tell(events), { text: "", tone: "plain" as const }, ...faultTable(faultReports(reduce(events)))];
    await expect(textOf(told)).toMatchFileSnapshot("./narrate.golden.txt");
  });
  test("no line is wider than 100 columns", () => {
    for (const { text } of [...tell(events), ...faultTable(faultReports(reduce(events)))])
      expect(text.length).toBeLessThanOrEqual(columns);
  });
  test("a failed run gives its reasons first", () => {
    const until = drafts().findIndex((draft) => draft.type === "checkpoint-quarantined");
    const failed: EventDraft = {
      type: "run-failed",
      data: { reasons: ["no pool is left: ascend was left after fault 2"], checkpoint: memory(10) },
    };
    const text = textOf(tell(journal([...drafts().slice(0, until), failed])));
    expect(text).toMatch(/failed at step 10 on pool nvidia after .*\n {2}because {4}no pool is left/);
  });
});

describe("any text", () => {
  test("keeps its words and fits", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 400 }), fc.integer({ min: 1, max: 60 }), (text, width) => {
        const rows = wrap(text, width);
        for (const row of rows) expect(row.length).toBeLessThanOrEqual(width);
        expect(rows.join("").replaceAll(/\s+/g, "")).toBe(printable(text).replaceAll(/\s+/g, ""));
      }),
      { seed: 1 },
    );
  });
  test("cannot move the cursor", () => {
    const text = textOf(moment(1, "a\u001b[2Jb\u0007c\rd"));
    for (const control of ["\u001b", "\u0007", "\r"]) expect(text).not.toContain(control);
  });
});
