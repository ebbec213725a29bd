/** What is a fault and what is not: silence, echoes, slowness, blindness, on views made by hand. */
import { beforeEach, describe, expect, test } from "vitest";
import { type Attempt, initialState, type RunState } from "../journal/state.ts";
import { channelView, type Observation } from "../launcher/launcher.ts";
import { Failover } from "../spec/run-file.ts";
import type { WorkerEvent } from "../spec/worker-event.ts";
import { detect } from "./detect.ts";
import type { Policy } from "./policy.ts";
import { createView, look, type View } from "./view.ts";

const failover = Failover.parse({});
const policy: Policy = { failover, pools: [], steps: 1000, microBatches: 8 };
const nodes = ["a-0", "a-1"];
const attempt: Attempt = {
  status: "running",
  ...{ epoch: 1, pool: "a", nodes, resume: null, why: "", intendedAt: 0, firstStepAt: 1, step: 0 },
  ...{ agent: null, workers: [], seen: {}, completed: undefined, outcome: undefined },
};
const running: RunState = { ...initialState, phase: "training", epoch: 1, pool: "a", attempt };

type Said = WorkerEvent extends infer E
  ? E extends WorkerEvent
    ? Omit<E, "v" | "run" | "epoch" | "seq">
    : never
  : never;

/** An attempt on a clock of its own: `pass` lets time go by in ticks, with what is said and seen in the last of them. */
function scene(ranks = nodes) {
  let now = 100;
  let seq = 0;
  const view: View = createView({ epoch: 1, nodes: ranks, step: 0 }, now);
  const pass = (seconds: number, said: readonly Said[] = [], seen: Partial<Observation> = {}): void => {
    for (let left = seconds; left > 0; left -= 0.1) {
      const isLast = left <= 0.1;
      now += Math.min(0.1, left);
      const events = isLast
        ? said.map((event) => ({ v: 1, run: "r", epoch: 1, seq: ++seq, ...event }) as WorkerEvent)
        : [];
      const nothing = { records: [], processes: [], blind: [], malformed: {}, agent: "running" as const };
      look(view, { ...nothing, monotonicSeconds: now, events, ...(isLast ? seen : {}) }, () => []);
    }
  };
  const step = (number: number, compute: readonly number[] = [0.2, 0.2], linkSeconds = 0.03, loss = 3): Said[] =>
    ranks.map((_, rank) => ({
      ...{
        ev: "step",
        rank,
        step: number,
        seconds: 0.3,
        loss,
        computeSeconds: compute[rank] ?? 0.2,
        monotonicSeconds: now,
      },
      links: [{ peer: rank === 0 ? 1 : 0, bytes: 1e6, seconds: linkSeconds }],
    }));
  const train = (from: number, to: number): void => {
    for (let number = from; number <= to; number++) pass(0.3, step(number));
  };
  const beat = (rank: number, phase: "compute" | "reduce" | "validate", waitingFor?: number): Said => ({
    ...{ ev: "heartbeat", rank, phase, step: 0 },
    ...(waitingFor === undefined ? {} : { waitingFor }),
  });
  const faults = (state: RunState = running) =>
    detect(view, state, policy).map((draft) => (draft.type === "fault-detected" ? draft.data : undefined));
  return { view, pass, step, train, beat, faults, now: () => now };
}

describe("silence", () => {
  let s: ReturnType<typeof scene>;
  beforeEach(() => {
    s = scene();
    s.train(1, 20);
  });

  test("shorter than the limit is none", () => {
    s.pass(2.9);
    expect(s.faults()).toEqual([]);
  });

  test("longer is a hang of the rank that waits for nobody, and heartbeats fool nobody", () => {
    for (let i = 0; i < 8; i++) s.pass(0.5, [s.beat(0, "reduce", 1), s.beat(1, "compute")]);
    expect(s.faults()).toMatchObject([{ kind: "hang", rank: 1, node: "a-1", step: 21, detectedBy: "progress" }]);
  });

  test("counts only while the supervisor looks: after a sleep of its own there is no alarm", () => {
    s.pass(0.1);
    const { view } = s;
    look(
      view,
      {
        monotonicSeconds: s.now() + 3600,
        agent: "running",
        records: [],
        events: [],
        processes: [],
        blind: [],
        malformed: {},
      },
      () => [],
    );
    expect(s.faults()).toEqual([]);
  });

  test("of a source that cannot be read is no silence", () => {
    for (let i = 0; i < 100; i++) s.pass(0.1, [], { blind: [{ view: "events of rank 0", why: "EIO" }] });
    expect(s.faults()).toEqual([]);
    expect(s.view.silentSeconds).toBeLessThan(0.2);
  });

  test("while workers cannot write is forgotten: it begins anew with the sight of them", () => {
    s.pass(2.5);
    s.pass(0.1, [], { blind: [{ view: channelView, why: "ENOSPC" }] });
    s.pass(2.9);
    expect(s.faults()).toEqual([]);
    s.pass(0.3);
    expect(s.faults()).toMatchObject([{ kind: "hang" }]);
  });

  test("in a long phase gets the time of a launch, unless the process is stopped", () => {
    s.pass(0.1, [s.beat(0, "validate"), s.beat(1, "validate")]);
    s.pass(60);
    expect(s.faults()).toEqual([]);
    s.pass(0.1, [], { processes: [{ rank: 1, status: "stopped" }] });
    s.pass(3.2);
    expect(s.faults()).toMatchObject([
      { kind: "hang", rank: 1, evidence: [expect.stringMatching(/stopped by a signal/), expect.anything()] },
    ]);
  });

  test("before the first step is a hang only after the start's time", () => {
    const fresh = scene();
    fresh.pass(failover.startSeconds - 1);
    expect(fresh.faults()).toEqual([]);
    fresh.pass(2);
    expect(fresh.faults()).toMatchObject([
      { kind: "hang", why: expect.stringMatching(/no first step within 120.0 s/) },
    ]);
  });
});

describe("echoes", () => {
  const linkDown = (rank: number, peer: number): Said => ({
    ...{ ev: "fault", kind: "link-down", rank, peer, step: 4, detail: "reset", retried: false },
  });
  const exited = (rank: number, code: number | null, signal: string | null) => ({
    records: [{ v: 1 as const, epoch: 1, seq: 9, monotonicSeconds: 1, ev: "exited" as const, rank, code, signal }],
  });

  test("a broken link waits for the rank that died; then that is the fault and the link its evidence", () => {
    const s = scene();
    s.train(1, 3);
    s.pass(0.1, [linkDown(0, 1)]);
    expect(s.faults()).toEqual([]);
    s.pass(0.1, [], exited(1, null, "SIGKILL"));
    expect(s.faults()).toMatchObject([
      { kind: "process-signal", rank: 1, evidence: ["SIGKILL", "then: rank 0 and rank 1: link-down at step 4"] },
    ]);
  });

  test("a broken link between two ranks that live is the link's fault, once", () => {
    const s = scene();
    s.train(1, 3);
    s.pass(0.1, [linkDown(0, 1), linkDown(1, 0)]);
    expect(s.faults()).toEqual([]);
    s.pass(0.5);
    expect(s.faults()).toMatchObject([{ kind: "link-down", scope: "link", root: "link-down a-0~a-1" }]);
  });

  test("a silent link to a stopped process is that process's hang", () => {
    const s = scene();
    s.train(1, 3);
    const silent: Said = { ev: "fault", kind: "link-silent", rank: 0, peer: 1, step: 4, detail: "2 s", retried: false };
    s.pass(0.1, [silent], { processes: [{ rank: 1, status: "stopped" }] });
    expect(s.faults()).toMatchObject([{ kind: "hang", rank: 1, peer: null, node: "a-1" }]);
  });

  test("what a worker mended is told once, by whichever end said it first", () => {
    const s = scene();
    s.train(1, 3);
    const mended = (rank: number, peer: number): Said => ({
      ...{ ev: "fault", kind: "corrupt-gradient", rank, peer, step: 4, detail: "checksum", retried: true },
    });
    s.pass(0.1, [mended(0, 1), mended(1, 0)]);
    expect(s.faults()).toMatchObject([{ kind: "corrupt-gradient", retried: true, advice: "retry" }]);
  });
});

describe("numbers", () => {
  test("a rank four times slower for four steps is a straggler, not before", () => {
    const s = scene();
    s.train(1, 10);
    for (let number = 11; number <= 13; number++) s.pass(0.3, s.step(number, [0.2, 0.8]));
    expect(s.faults()).toEqual([]);
    s.pass(0.3, s.step(14, [0.2, 0.8]));
    expect(s.faults()).toMatchObject([{ kind: "straggler", rank: 1, advice: "evict-node" }]);
  });

  test("it is the time that the slow steps took which counts, not how many usual ones would fit into it", () => {
    const s = scene();
    const usual = (number: number): void => s.pass(0.03, s.step(number, [0.02, 0.02], 0.001));
    for (let number = 1; number <= 40; number++) usual(number);
    // Ten times slower: named after eight of its steps, where a second of usual ones would be fifty.
    for (let number = 41; number <= 47; number++) s.pass(0.3, s.step(number, [0.02, 0.27], 0.001));
    expect(s.faults()).toEqual([]);
    s.pass(0.3, s.step(48, [0.02, 0.27], 0.001));
    expect(s.faults()).toMatchObject([{ kind: "straggler", rank: 1, step: 48 }]);
  });

  test("a hiccup of many short steps, and one step that takes long, are no slowness", () => {
    const s = scene();
    for (let number = 1; number <= 40; number++) s.pass(0.03, s.step(number, [0.02, 0.02], 0.001));
    for (let number = 41; number <= 60; number++) s.pass(0.06, s.step(number, [0.02, 0.06], 0.001));
    expect(s.faults()).toEqual([]);
    s.pass(0.03, s.step(61, [0.02, 0.02], 0.001));
    s.pass(2.9, s.step(62, [0.02, 2.8], 0.001));
    expect(s.faults()).toEqual([]);
  });

  test("a link at a hundredth is slow after a few of its own steps, however short the usual ones were", () => {
    const s = scene();
    for (let number = 1; number <= 40; number++) s.pass(0.03, s.step(number, [0.02, 0.02], 0.01));
    for (let number = 41; number <= 43; number++) s.pass(1.1, s.step(number, [0.02, 0.02], 1));
    expect(s.faults()).toEqual([]);
    s.pass(1.1, s.step(44, [0.02, 0.02], 1));
    expect(s.faults()).toMatchObject([{ kind: "link-slow", rank: 1, peer: 0, step: 44 }]);
  });

  test("a rank that has twice the micro-batches is none", () => {
    const s = scene(["a-0", "a-1", "a-2"]);
    for (let number = 1; number <= 20; number++) s.pass(0.3, s.step(number, [0.2, 0.2, 0.42]));
    expect(s.faults()).toEqual([]);
  });

  test("a link at a twentieth of what is usual is slow; a pool whose links all are narrow has none", () => {
    const s = scene();
    s.train(1, 10);
    for (let number = 11; number <= 14; number++) s.pass(0.3, s.step(number, [0.2, 0.2], 0.6));
    expect(s.faults()).toMatchObject([{ kind: "link-slow", rank: 1, peer: 0 }]);
    const narrow = scene();
    for (let number = 1; number <= 20; number++) narrow.pass(0.3, narrow.step(number, [0.2, 0.2], 0.6));
    expect(narrow.faults()).toEqual([]);
  });

  test("a loss four times the usual is a spike, reported once for its step", () => {
    const s = scene();
    s.train(1, 20);
    s.pass(0.3, s.step(21, [0.2, 0.2], 0.03, 12));
    const [spike] = s.faults();
    expect(spike).toMatchObject({ kind: "loss-spike", step: 21 });
    if (spike === undefined) return;
    const known = {
      id: 0,
      detected: spike,
      epoch: 1,
      pool: "a",
      at: 0,
      highestStep: 21,
      decision: undefined,
      recoverSeconds: null,
      lostSteps: 0,
      injection: undefined,
    };
    expect(s.faults({ ...running, faults: [known] })).toEqual([]);
  });
});

test("nothing is detected while a fault is being dealt with", () => {
  const s = scene();
  s.train(1, 3);
  s.pass(10);
  expect(s.faults().length).toBe(1);
  expect(s.faults({ ...running, undecided: 0 })).toEqual([]);
  expect(s.faults({ ...running, attempt: { ...attempt, status: "stopping" } })).toEqual([]);
});

test("the end of a worker carries what the logs of all ranks say", () => {
  const s = scene();
  s.train(1, 3);
  const said: Record<number, string[]> = {
    0: ["[rank0]: torch.distributed.DistBackendError: NCCL error: remote process exited or there was a network error"],
    1: ["Traceback (most recent call last):", "KeyError: 'input_ids'"],
  };
  const records = [0, 1].map((rank) => ({
    ...({ v: 1, epoch: 1, seq: rank + 1, ev: "exited", rank, code: 1, signal: null } as const),
    monotonicSeconds: s.now(),
  }));
  const nothing = { processes: [], blind: [], malformed: {}, agent: "running" as const, events: [] };
  look(s.view, { ...nothing, monotonicSeconds: s.now() + 0.2, records }, (rank) => said[rank] ?? []);
  s.faults();
  s.pass(0.5);
  const [fault] = s.faults();
  expect(fault).toMatchObject({
    ...{ kind: "program-error", category: "workload", advice: "restart" },
    diagnosis: { code: "KeyError", action: "fix-job", rank: 1, evidence: [{ file: "rank 1", line: 2 }] },
  });
});
