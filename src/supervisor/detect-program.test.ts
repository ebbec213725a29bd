/** Somebody's own program: how long it may be silent, and what its devices add to a fault; on views made by hand. */
import { expect, test } from "vitest";
import { type Attempt, initialState, type RunState } from "../journal/state.ts";
import type { AgentRecord } from "../launcher/agent-record.ts";
import type { DeviceFindingCode } from "../spec/device-finding.ts";
import { Failover } from "../spec/run-file.ts";
import type { WorkerEvent } from "../spec/worker-event.ts";
import { detect } from "./detect.ts";
import { rankOn } from "./device-notes.ts";
import type { Policy } from "./policy.ts";
import { createView, look } from "./view.ts";

const nodes = ["a-0", "a-0"];
const attempt: Attempt = {
  status: "running",
  ...{ epoch: 1, pool: "a", nodes, resume: null, why: "", intendedAt: 0, firstStepAt: 1, step: 0 },
  ...{ agent: null, workers: [], seen: {}, completed: undefined, outcome: undefined },
};
const running: RunState = { ...initialState, phase: "training", epoch: 1, pool: "a", attempt };

/** A program on a clock of its own that prints a step on rank 1 every `stepSeconds`. */
function program({ saysSteps = true }: { saysSteps?: boolean } = {}) {
  const policy: Policy = {
    ...{ failover: Failover.parse({}), pools: [], steps: 0, microBatches: 1 },
    program: { workersPerNode: 2, saysSteps },
  };
  const view = createView({ epoch: 1, nodes, step: 0, speaker: "any" }, 0);
  let now = 0;
  let seq = 0;
  let step = 0;
  let state = running;
  let stopped: number | undefined;
  const observe = (
    seconds: number,
    events: readonly WorkerEvent[] = [],
    records: readonly AgentRecord[] = [],
  ): void => {
    for (let left = seconds; left > 0; left -= 0.1) {
      const isLast = left <= 0.1;
      now += 0.1;
      const processes = stopped === undefined ? [] : [{ rank: stopped, status: "stopped" as const }];
      const seen = { agent: "running" as const, processes, blind: [], malformed: {}, monotonicSeconds: now };
      look(view, { ...seen, events: isLast ? events : [], records: isLast ? records : [] }, () => []);
    }
  };
  const header = { v: 1 as const, run: "r", epoch: 1, rank: 1 };
  return {
    steps(count: number, seconds = 0.5): void {
      for (let i = 0; i < count; i++) {
        step++;
        observe(seconds, [{ ...header, seq: ++seq, monotonicSeconds: now, ev: "step", step, seconds }]);
      }
    },
    phase: (phase: "validate") =>
      observe(0.1, [{ ...header, seq: ++seq, monotonicSeconds: now, ev: "phase", phase, step }]),
    silent: (seconds: number) => observe(seconds),
    stop(rank: number): void {
      stopped = rank;
      observe(0.2);
    },
    device(name: string, finding: DeviceFindingCode, rank: number | null, detail = "seen"): void {
      const record = { v: 1 as const, epoch: 1, seq: ++seq, monotonicSeconds: now, ev: "noted" as const };
      observe(0.1, [], [{ ...record, rank, what: finding, count: 1, detail, device: { name, finding } }]);
    },
    exits(rank: number): void {
      const record = { v: 1 as const, epoch: 1, seq: ++seq, monotonicSeconds: now, ev: "exited" as const };
      observe(0.1, [], [{ ...record, rank, code: null, signal: "SIGABRT" }]);
    },
    hungBefore(at: number): void {
      const [detected] = hungOnce(at);
      if (detected === undefined) throw new Error("the program before was not taken for hung");
      const outcome = {
        decision: undefined,
        recoverSeconds: null,
        lostSteps: 0,
        injection: undefined,
        highestStep: at - 1,
      };
      state = { ...running, faults: [{ id: 0, epoch: 0, pool: "a", at: 0, detected, ...outcome }] };
    },
    faults: () => detect(view, state, policy).flatMap((draft) => (draft.type === "fault-detected" ? [draft.data] : [])),
  };
}

/** The fault of a program that hung in the step before `step` was done. */
function hungOnce(step: number) {
  const p = program();
  p.steps(step - 1);
  p.silent(121);
  return p.faults();
}

test.each<[string, number, number]>([
  ["two reports: startSeconds", 2, 120],
  ["eight: 10 × hangSeconds", 8, 30],
  ["twenty: hangSeconds, as the embedded engine", 20, 3],
])("a program that shows steps, %s", (_, reports, limit) => {
  const p = program();
  p.steps(reports);
  p.silent(limit - 0.5);
  expect(p.faults()).toEqual([]);
  p.silent(1);
  expect(p.faults()).toMatchObject([{ kind: "hang", step: reports + 1 }]);
});

test("a slow program gets five of its usual times, and twice the longest silence that it came back from", () => {
  const slow = program();
  slow.steps(20, 4);
  slow.silent(19);
  expect(slow.faults()).toEqual([]);
  slow.silent(2);
  expect(slow.faults()).toHaveLength(1);
  const evaluates = program();
  evaluates.steps(20);
  evaluates.phase("validate");
  evaluates.silent(40);
  expect(evaluates.faults()).toEqual([]);
  // The long one has left the window by which the usual time is known.
  evaluates.steps(200);
  evaluates.silent(79);
  expect(evaluates.faults()).toEqual([]);
  evaluates.silent(3);
  expect(evaluates.faults()).toHaveLength(1);
});

test("where it was taken for hung before it gets the time of a launch", () => {
  const p = program();
  p.hungBefore(21);
  p.steps(20);
  p.silent(119);
  expect(p.faults()).toEqual([]);
  p.silent(2);
  expect(p.faults()).toHaveLength(1);
});

test("a stopped process is blamed, although another was silent longer", () => {
  const p = program();
  p.steps(20);
  p.silent(1);
  p.stop(1);
  p.silent(2);
  expect(p.faults()).toMatchObject([{ kind: "hang", rank: 1 }]);
});

test("a plain program that never showed a step is never taken for hung", () => {
  const p = program({ saysSteps: false });
  p.silent(4000);
  expect(p.faults()).toEqual([]);
});

test("a broken device is the cause of its rank's hang; the node is to be left", () => {
  const p = program();
  p.steps(20);
  p.device("nvidia 0", "slowed-by-heat", 0, "clocks are held down by heat: 91 °C");
  p.device("nvidia 1", "uncorrectable-memory", 1, "2 uncorrectable memory errors");
  p.device("nvidia 7", "lost", null, "no longer listed");
  p.exits(1);
  const [fault] = p.faults();
  expect(fault).toMatchObject({
    ...{ kind: "process-signal", rank: 1, category: "memory", advice: "evict-node", node: "a-0" },
    diagnosis: { code: "uncorrectable-memory", rank: 1 },
  });
  expect(fault?.evidence).toContain("nvidia 1: uncorrectable-memory: 2 uncorrectable memory errors");
  expect(fault?.evidence).toContain("nvidia 7: lost: no longer listed");
  expect(fault?.evidence.join()).not.toContain("nvidia 0");
});

test("heat alone is evidence of a crash and not its cause; an Xid is judged by the rule base; a silent tool says nothing", () => {
  const hot = program();
  hot.steps(20);
  hot.device("nvidia 1", "slowed-by-heat", 1);
  hot.device("devices", "unreadable", null, "nvidia-smi gave no answer in 20 s");
  hot.exits(1);
  const [fault] = hot.faults();
  expect(fault).toMatchObject({ category: "instability", advice: "restart" });
  expect(fault?.diagnosis).toBeUndefined();
  expect(fault?.evidence.join("\n")).toMatch(/nvidia 1: slowed-by-heat/);
  expect(fault?.evidence.join("\n")).not.toMatch(/gave no answer/);
  const fell = program();
  fell.steps(20);
  fell.device("nvidia 1", "xid", 1, "NVRM: Xid (PCI:0000:11:00): 79, pid=1, name=python, GPU has fallen off the bus.");
  fell.exits(1);
  expect(fell.faults()[0]).toMatchObject({ diagnosis: { code: expect.stringMatching(/79/), rank: 1 } });
  const own = program();
  own.steps(20);
  own.device("nvidia 1", "xid", 1, "NVRM: Xid (PCI:0000:11:00): 31, pid=1, name=python, Ch 00000008, MMU Fault");
  own.exits(1);
  expect(own.faults()[0]?.advice).toBe("restart");
});

test("a device is the rank's that alone has it at its place", () => {
  const workers = (env: (rank: number) => Record<string, string>) =>
    [0, 1, 2].map((rank) => ({ rank, env: { LOCAL_RANK: String(rank), ...env(rank) } }));
  const gpu = { platform: "nvidia", index: 2 } as const;
  expect(
    rankOn(
      workers(() => ({ CUDA_VISIBLE_DEVICES: "4,5,2" })),
      gpu,
    ),
  ).toBe(2);
  expect(
    rankOn(
      workers((rank) => ({ CUDA_VISIBLE_DEVICES: String(2 - rank) })),
      gpu,
    ),
  ).toBe(0);
  expect(
    rankOn(
      workers(() => ({ CUDA_VISIBLE_DEVICES: "2" })),
      gpu,
    ),
  ).toBeNull();
  expect(
    rankOn(
      workers(() => ({ CUDA_VISIBLE_DEVICES: "GPU-a,GPU-b,GPU-c" })),
      gpu,
    ),
  ).toBeNull();
  expect(
    rankOn(
      workers(() => ({ ASCEND_RT_VISIBLE_DEVICES: "0,2" })),
      { platform: "ascend", index: 2 },
    ),
  ).toBe(1);
  // Two nodes on one host have the same local ranks.
  expect(
    rankOn(
      [
        ...workers(() => ({ CUDA_VISIBLE_DEVICES: "all" })),
        { rank: 5, env: { LOCAL_RANK: "2", CUDA_VISIBLE_DEVICES: "all" } },
      ],
      gpu,
    ),
  ).toBeNull();
});
