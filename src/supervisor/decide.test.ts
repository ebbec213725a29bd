/** The ladder as a table: what is done about each fault, given what has happened before. */
import { describe, expect, test } from "vitest";
import { faultFacts } from "../diagnosis/fault-facts.ts";
import type { EventDraft, LogCause, RunEvent } from "../journal/event.ts";
import { reduce } from "../journal/reduce.ts";
import type { RunState } from "../journal/state.ts";
import { RunFile } from "../spec/run-file.ts";
import type { FaultKind } from "../spec/vocabulary.ts";
import { createdEvent } from "./created.ts";
import { decide } from "./decide.ts";
import { policyOf } from "./policy.ts";

const file = (failover: object, spares = 1, pools = 2): RunFile =>
  RunFile.parse({
    name: "r",
    model: {
      ...{ vocab_size: 260, hidden_size: 64, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64 },
      ...{ kv_lora_rank: 16, qk_nope_head_dim: 16, qk_rope_head_dim: 8, v_head_dim: 16 },
    },
    data: { text: { files: ["t"] } },
    train: { steps: 100, globalBatch: 8, seqLength: 16, learningRate: 0.1 },
    pools: [
      { name: "a", workers: 2, spares, emulate: { platform: "ascend" } },
      { name: "n", workers: 2, emulate: { platform: "nvidia" } },
    ].slice(0, pools),
    failover,
  });

interface Past {
  readonly kind: FaultKind;
  readonly rank: number | null;
  /** Steps completed before it, in its attempt. */
  readonly steps: number;
  /** What the last lines of the ranks said. */
  readonly said?: Pick<LogCause, "code" | "category" | "action" | "rank">;
}

const keyError = { code: "KeyError", category: "workload", action: "fix-job", rank: 0 } as const;
const deadDevice = { code: "Xid 79", category: "instability", action: "evict-node", rank: 1 } as const;

/** The state after the faults happened one after the other, each decided and relaunched as `decide` says, but the last. */
function stateAfter(run: RunFile, past: readonly Past[]): RunState {
  const policy = policyOf(run);
  let state = reduce([]);
  const add = (draft: EventDraft): void => {
    const epoch = draft.type === "launch-intended" ? state.epoch + 1 : state.epoch;
    state = reduce([{ ...draft, seq: state.seq + 1, at: state.seq, run: "r", epoch, v: 1 } as RunEvent], state);
  };
  const follow = (): void => {
    for (let intent = decide(state, policy); intent !== undefined; intent = decide(state, policy)) {
      if (intent.type === "resolve") add({ type: "decided", data: intent.decision });
      else if (intent.type === "recovered") {
        const { fault, recoverSeconds, lostSteps } = intent;
        add({ type: "recovered", data: { fault, recoverSeconds, lostSteps } });
      } else if (intent.type === "end-attempt")
        add({ type: "attempt-ended", data: { outcome: intent.outcome, why: "" } });
      else if (intent.type === "choose-checkpoint") {
        const checkpoint =
          state.step === 0 ? null : { path: `/c/${state.step}`, step: state.step, tier: "memory" as const };
        add({ type: "resume-chosen", data: { checkpoint } });
      } else if (intent.type === "launch") {
        const { pool, nodes, resume, why } = intent;
        add({ type: "launch-intended", data: { pool, nodes: [...nodes], resume, why } });
        add({ type: "launched", data: { agent: null, adopted: false } });
      } else return;
    }
  };
  add({
    type: "run-created",
    data: createdEvent(run, { identity: "i", folder: "/", memory: { folder: "/m", memoryBacked: true } }),
  });
  follow();
  past.forEach(({ kind, rank, steps, said }, index) => {
    if (steps > 0) {
      const data = { step: state.step + steps, steps, seconds: steps, tokens: 0, loss: 1, gradNorm: 1 };
      add({ type: "progress", data: { ...data, source: { rank: 0, seq: index + 1 } } });
      follow();
    }
    const node = rank === null ? null : (state.attempt?.nodes[rank] ?? null);
    const { category, scope, advice } = faultFacts[kind];
    const about = {
      kind,
      category,
      scope,
      advice,
      rank,
      peer: null,
      node,
      root: `${kind} ${node}`,
      step: state.step + 1,
    };
    const seen = {
      detectedBy: "test",
      detectSeconds: 0,
      retried: false,
      recoverSeconds: null,
      why: kind,
      evidence: [],
    };
    const log = said === undefined ? {} : { diagnosis: { ...said, why: said.code, evidence: [] } };
    if (said?.action === "evict-node") about.advice = "evict-node";
    add({ type: "fault-detected", data: { id: index, ...about, ...seen, source: null, ...log } });
    if (index < past.length - 1) follow();
  });
  return state;
}

const crash = (rank: number, steps: number): Past => ({ kind: "process-signal", rank, steps });
const times = (count: number, past: Past): Past[] => Array.from({ length: count }, () => past);

describe("what is done about a fault", () => {
  test.each<{ name: string; failover?: object; spares?: number; pools?: number; past: Past[]; expected: object }>([
    { name: "a first crash", past: [crash(1, 3)], expected: { action: "restart", pool: "a", nodes: ["a-0", "a-1"] } },
    {
      name: "the same root twice without progress, with a spare",
      past: [crash(1, 3), crash(1, 0)],
      expected: { action: "evict-node", pool: "a", nodes: ["a-0", "a-2"], evicted: "a-1" },
    },
    {
      name: "the same root twice without progress, without a spare",
      spares: 0,
      past: [crash(1, 3), crash(1, 0)],
      expected: { action: "fail-over", pool: "n", nodes: ["n-0", "n-1"] },
    },
    {
      name: "the same root twice with progress between",
      past: [crash(1, 3), crash(1, 1)],
      expected: { action: "restart" },
    },
    {
      name: "faults that take turns without progress",
      past: (["hang", "process-signal", "out-of-memory", "process-exit", "hang"] as const).map((kind, index) => ({
        ...{ kind, rank: index === 4 ? 1 : index % 2 },
        steps: 0,
      })),
      expected: { action: "fail-over", pool: "n", why: expect.stringMatching(/5 faults at step 0 without progress/) },
    },
    {
      name: "the same root on the last pool, again and again",
      spares: 0,
      pools: 1,
      past: times(5, crash(1, 0)),
      expected: { action: "fail-over", fails: true },
    },
    {
      name: "one fault more than the pool may show",
      failover: { maxFaultsPerPool: 2 },
      past: times(3, crash(1, 5)),
      expected: { action: "fail-over", pool: "n", fails: false },
    },
    {
      name: "the same on the last pool",
      failover: { maxFaultsPerPool: 2 },
      pools: 1,
      past: times(5, crash(1, 5)),
      expected: { action: "restart", pool: "a", fails: false },
    },
    {
      name: "too many faults per productive hour",
      failover: { maxFaultsPerProductiveHour: 100, minProductiveSeconds: 20 },
      past: [crash(1, 12), crash(0, 12)],
      expected: {
        action: "fail-over",
        why: expect.stringMatching(/2 faults in 24 productive seconds are 300 an hour/),
      },
    },
    {
      name: "an operator that the platform lacks",
      past: [{ kind: "unsupported-operator", rank: 0, steps: 0 }],
      expected: { action: "fail-over", pool: "n" },
    },
    {
      name: "the same where there is no other pool",
      pools: 1,
      past: [{ kind: "unsupported-operator", rank: 0, steps: 0 }],
      expected: { action: "fail-over", fails: true },
    },
    {
      name: "a run file that the program refuses",
      past: [{ kind: "bad-input", rank: 0, steps: 0 }],
      expected: { action: "fix-job", fails: true },
    },
    {
      name: "an exception once",
      past: [{ kind: "program-error", rank: 0, steps: 2, said: keyError }],
      expected: { action: "restart", fails: false },
    },
    {
      name: "the same exception twice without a step between, on another rank",
      past: [
        { kind: "program-error", rank: 0, steps: 2, said: keyError },
        { kind: "program-error", rank: 1, steps: 0, said: keyError },
      ],
      expected: { action: "fix-job", fails: true },
    },
    {
      name: "the same exception twice with progress between",
      past: [
        { kind: "program-error", rank: 0, steps: 2, said: keyError },
        { kind: "program-error", rank: 0, steps: 3, said: keyError },
      ],
      expected: { action: "restart", fails: false },
    },
    {
      name: "a log that calls the node broken, with a spare",
      past: [{ kind: "process-exit", rank: 1, steps: 2, said: deadDevice }],
      expected: { action: "evict-node", evicted: "a-1" },
    },
    {
      name: "every tier full",
      past: [{ kind: "no-space", rank: 0, steps: 2 }],
      expected: { action: "free-space", fails: true },
    },
    {
      name: "a straggler, with a spare",
      past: [{ kind: "straggler", rank: 0, steps: 9 }],
      expected: { action: "evict-node", evicted: "a-0" },
    },
    {
      name: "a straggler, without a spare",
      spares: 0,
      past: [{ kind: "straggler", rank: 0, steps: 9 }],
      expected: { action: "none" },
    },
    {
      name: "a loss spike",
      past: [{ kind: "loss-spike", rank: null, steps: 9 }],
      expected: { action: "restart", beforeStep: 10 },
    },
  ])("$name", ({ failover = {}, spares, pools, past, expected }) => {
    const run = file(failover, spares, pools);
    const intent = decide(stateAfter(run, past), policyOf(run));
    expect(intent).toMatchObject({ type: "resolve", decision: expected });
  });

  test("the run fails at the stated number of attempts, with its reasons", () => {
    const run = file({ maxAttempts: 3 });
    const state = stateAfter(run, times(3, crash(1, 5)));
    const decided = decide(state, policyOf(run));
    expect(decided).toMatchObject({ type: "resolve", decision: { action: "restart" } });
    if (decided?.type !== "resolve") return;
    const next = (from: RunState, draft: EventDraft): RunState =>
      reduce([{ ...draft, seq: from.seq + 1, at: from.at, run: "r", epoch: from.epoch, v: 1 } as RunEvent], from);
    const stopped = next(next(state, { type: "decided", data: decided.decision }), {
      type: "attempt-ended",
      data: { outcome: "fault", why: "" },
    });
    expect(decide(stopped, policyOf(run))).toMatchObject({
      type: "fail",
      reasons: expect.arrayContaining(["3 attempts were made, failover.maxAttempts allows no more"]),
    });
  });

  test("step 0 is never started again once something was published", () => {
    const run = file({});
    const state = { ...stateAfter(run, [crash(1, 3)]), published: true };
    const idle: RunState = { ...state, undecided: undefined, attempt: undefined, resume: { checkpoint: null } };
    expect(decide(idle, policyOf(run))).toMatchObject({
      type: "fail",
      reasons: [expect.stringMatching(/step 0/), expect.anything()],
    });
  });
});
