/** Facts of a program: whoever prints a step speaks for the attempt, each step is counted once, whoever reads it again. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { EventDraft } from "../journal/event.ts";
import { reduce } from "../journal/reduce.ts";
import type { RunState } from "../journal/state.ts";
import type { AgentRecord } from "../launcher/agent-record.ts";
import { RunFile } from "../spec/run-file.ts";
import type { WorkerEvent } from "../spec/worker-event.ts";
import { openLog } from "../store/log.ts";
import { createdEvent } from "./created.ts";
import { facts } from "./facts.ts";
import { policyOf } from "./policy.ts";

const file = RunFile.parse({
  name: "p",
  program: { command: ["x"], adapter: "megatron", workersPerNode: 2 },
  pools: [{ name: "a", workers: 1 }],
});
const policy = policyOf(file);

/** A log with a running attempt of two ranks, from step 0. */
function running() {
  let now = 1;
  const lines: string[] = [];
  const write = (text: string): void => {
    lines.push(text);
  };
  const log = openLog({ run: "p", state: reduce([]), now: () => now++, write });
  const memory = { folder: "/none", memoryBacked: true };
  const before: EventDraft[] = [
    { type: "run-created", data: createdEvent(file, { identity: "i", folder: "/", memory }) },
    { type: "resume-chosen", data: { checkpoint: null } },
    { type: "launch-intended", data: { pool: "a", nodes: ["a-0", "a-0"], resume: null, why: "first" } },
    { type: "launched", data: { agent: null, adopted: false } },
  ];
  log.append(before);
  return { log, lines };
}

const step = (rank: number, seq: number, at: number, seconds = 2): WorkerEvent => ({
  ...{ v: 1, run: "p", epoch: 1, rank, seq, ev: "step", step: at, seconds, tokens: 10, loss: 1 / at },
});
const seen = (events: readonly WorkerEvent[], records: readonly AgentRecord[] = []) => ({
  ...{ monotonicSeconds: 1, agent: "running" as const, records, events, processes: [], blind: [], malformed: {} },
});
const ended: AgentRecord = { v: 1, epoch: 1, seq: 1, monotonicSeconds: 9, ev: "ended", reason: "finished" };

describe("a program's steps", () => {
  test("only the last rank prints, every tenth step: the lines cover what they cover", () => {
    const { log } = running();
    log.append(facts(seen([step(1, 1, 10), step(1, 2, 20)]), log.state(), policy));
    expect(log.state()).toMatchObject({ step: 20, productiveSeconds: 40, tokens: 200, loss: 0.05, stepSeconds: 2 });
  });
  test("all ranks print the same steps: each is counted once", () => {
    const { log } = running();
    log.append(
      facts(seen([step(0, 1, 1), step(0, 2, 2), step(1, 1, 1), step(1, 2, 2), step(1, 3, 3)]), log.state(), policy),
    );
    expect(log.state()).toMatchObject({ step: 3, productiveSeconds: 6, tokens: 30 });
  });
  test("the end states the newest step of the same look, although it is read with it", () => {
    const { log } = running();
    log.append(facts(seen([step(1, 1, 7)], [ended]), log.state(), policy));
    expect(log.state().attempt?.completed).toMatchObject({ step: 7 });
  });
  test("cut anywhere, read again by a later supervisor, the journal adds up to the same", () => {
    const events = Array.from({ length: 12 }, (_, index) => step(index % 2, 1 + (index >> 1), 1 + index));
    const key = ({ step, highestStep, productiveSeconds, tokens, loss }: RunState) => ({
      step,
      highestStep,
      productiveSeconds,
      tokens,
      loss,
    });
    const whole = running();
    whole.log.append(facts(seen(events, [ended]), whole.log.state(), policy));
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 12 }), { maxLength: 6 }), (cuts) => {
        const { log, lines } = running();
        // Every supervisor reads from the start as far as the program had come.
        for (const cut of [...cuts].sort((a, b) => a - b))
          log.append(facts(seen(events.slice(0, cut)), log.state(), policy));
        log.append(facts(seen(events, [ended]), log.state(), policy));
        expect(key(log.state())).toEqual(key(whole.log.state()));
        const replayed = reduce(
          lines
            .join("")
            .trimEnd()
            .split("\n")
            .map((line) => JSON.parse(line)),
        );
        expect(replayed).toEqual(log.state());
      }),
      { seed: 2, numRuns: 100 },
    );
  });
});
