/** Real worker processes: the same bytes for any number of them, through damage on the wire, kills and full disks. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { newestVerified, verifyCheckpoint } from "../../src/checkpoint/verify-checkpoint.ts";
import type { InjectedFault } from "../../src/spec/emulation.ts";
import { InjectedFault as Fault } from "../../src/spec/emulation.ts";
import { workerExitCode } from "../../src/spec/worker-event.ts";
import { type Ended, type Launch, type Running, startWorkers, untilSaid } from "../start-workers.ts";

// A worker takes a second of processor time to start; on a busy machine that is many seconds.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const finished: Ended = { code: 0, signal: null };
let folder = "";
let undisturbed = "";

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "workers-"));
  // One rank sends nothing, and before the first step nothing is stored: these faults cannot strike.
  const idle = [
    { kind: "bitflip", step: 2 },
    { kind: "linkdown", step: 3 },
    { kind: "linkslow", step: 3 },
    { kind: "bitflip", target: "checkpoint", step: 1 },
  ] as const;
  const one = await start("one", 1, [...idle]);
  expect(await one.ended, one.output(0)).toEqual([finished]);
  expect(injectedOf(one, 0), "what cannot strike does not fire").toEqual([]);
  undisturbed = finish(one).weightsSha256 ?? "";
  expect(undisturbed).toMatch(/^[0-9a-f]{64}$/);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function finish(running: Running) {
  const bye = running.events(0).at(-1);
  if (bye?.ev !== "bye") throw new Error(`rank 0 said no goodbye:\n${running.output(0)}`);
  return bye;
}
const faultsOf = (running: Running, rank: number) => running.events(rank).flatMap((e) => (e.ev === "fault" ? [e] : []));
const injectedOf = (running: Running, rank: number) =>
  running.events(rank).flatMap((e) => (e.ev === "injected" ? [e.fault] : []));
const stepsOf = (running: Running) => running.events(0).flatMap((e) => (e.ev === "step" ? [e.step] : []));
const fault = (given: Partial<InjectedFault>): InjectedFault => Fault.parse(given);
/** A busy machine keeps processes from running for seconds: only a test that asks for silence may find any. */
const patient = { failover: { linkSilentSeconds: 60 } };
const start = (name: string, workers: number, faults: Partial<InjectedFault>[] = [], more: Partial<Launch> = {}) =>
  startWorkers({ folder: join(folder, name), workers, emulate: { faults: faults.map(fault) }, ...patient, ...more });

/** Goes on from the newest checkpoint that verifies, as a supervisor would. */
async function resume(
  name: string,
  workers: number,
  more: Partial<Launch> = {},
): Promise<{ from: number; running: Running }> {
  const places = (["memory", "disk"] as const).map((tier) => ({ tier, folder: join(folder, name, tier) }));
  const { newest } = await newestVerified(places);
  const from = newest?.step ?? 0;
  const again = newest === undefined ? null : { path: newest.path, step: newest.step };
  const running = await startWorkers({
    folder: join(folder, name),
    workers,
    epoch: 2,
    resume: again,
    ...patient,
    ...more,
  });
  return { from, running };
}

// Two workers end in the same bytes in "mended in place", three where a killed rank's run goes on.
test("four workers end in the bytes of one, and learn", async () => {
  const workers = 4;
  const running = await start("four", workers);
  expect(await running.ended, running.output(0)).toEqual(Array.from({ length: workers }, () => finished));
  expect(finish(running).weightsSha256).toBe(undisturbed);
  const losses = running.events(0).flatMap((e) => (e.ev === "step" ? [e.loss ?? Number.NaN] : []));
  expect(losses).toHaveLength(6);
  expect(losses.at(-1)).toBeLessThan(losses[0]! - 0.3);
  for (let rank = 0; rank < workers; rank++) {
    expect(faultsOf(running, rank)).toEqual([]);
    const peers = running.events(rank).flatMap((e) => (e.ev === "step" ? [e.links?.map(({ peer }) => peer)] : []));
    const expected = rank === 0 ? Array.from({ length: workers - 1 }, (_, peer) => peer + 1) : [0];
    expect(peers).toEqual(Array.from({ length: 6 }, () => expected));
  }
});

test("a run that died after its last step is only written out", async () => {
  rmSync(join(folder, "one/disk"), { recursive: true });
  const last = { path: join(folder, "one/memory/step-00000006"), step: 6 };
  const running = await startWorkers({ folder: join(folder, "one"), workers: 2, epoch: 2, resume: last });
  expect(await running.ended, running.output(0)).toEqual([finished, finished]);
  expect(stepsOf(running)).toEqual([]);
  const checkpoint = join(folder, "one/disk/step-00000006");
  expect(finish(running)).toMatchObject({ reason: "finished", weightsSha256: undisturbed, checkpoint });
  expect((await verifyCheckpoint(checkpoint)).step).toBe(6);
});

describe("mended in place, without a restart", () => {
  test("bits flipped on the wire both ways, a NaN, a slow rank and a slow link, all in one run", async () => {
    const running = await start("mended", 2, [
      { kind: "bitflip", step: 2, rank: 1 },
      { kind: "bitflip", step: 3, rank: 0 },
      { kind: "nan", step: 3, rank: 1 },
      { kind: "slow", step: 4, rank: 1, factor: 20, steps: 1 },
      { kind: "linkslow", step: 5, rank: 1, bytesPerSecond: 1_000_000, steps: 1 },
    ]);
    expect(await running.ended, running.output(0)).toEqual([finished, finished]);
    expect([injectedOf(running, 0), injectedOf(running, 1).toSorted()]).toEqual([
      ["pool/1"],
      ["pool/0", "pool/2", "pool/3", "pool/4"],
    ]);
    expect(faultsOf(running, 0)).toMatchObject([{ kind: "corrupt-gradient", step: 2, peer: 1, retried: true }]);
    expect(faultsOf(running, 1)).toMatchObject([
      { kind: "nan", step: 3, retried: true },
      { kind: "corrupt-gradient", step: 3, peer: 0, retried: true },
    ]);
    const steps = (rank: number) => running.events(rank).flatMap((e) => (e.ev === "step" ? [e] : []));
    const compute = steps(1).map(({ computeSeconds = 0 }) => computeSeconds);
    expect(compute[3]).toBeGreaterThan(4 * Math.min(compute[4]!, compute[5]!));
    for (const rank of [0, 1]) {
      const rate = steps(rank).map(({ links }) => links![0]!.bytes / links![0]!.seconds);
      expect(rate[4], "the bucket bounds the rate").toBeLessThan(2_000_000);
    }
    expect(finish(running).weightsSha256).toBe(undisturbed);
  });

  test("a NaN that comes again at the same step ends the worker", async () => {
    const twice = await start("nan-twice", 1, [{ kind: "nan", step: 2, times: 2 }]);
    expect(await twice.ended).toEqual([{ code: workerExitCode.numerics, signal: null }]);
    expect(faultsOf(twice, 0).map(({ retried }) => retried)).toEqual([true, false]);
  });

  test("a full disk; the memory tier goes on, and the last step gets to the disk", async () => {
    const running = await start("full", 1, [
      { kind: "nospace", step: 2 },
      { kind: "nospace", step: 6 },
    ]);
    expect(await running.ended, running.output(0)).toEqual([finished]);
    expect(injectedOf(running, 0)).toEqual(["pool/0", "pool/1"]);
    expect(faultsOf(running, 0)).toMatchObject([
      { kind: "no-space", step: 3, retried: true },
      { kind: "no-space", step: 6, retried: true },
    ]);
    expect(stepsOf(running)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(finish(running)).toMatchObject({
      weightsSha256: undisturbed,
      checkpoint: join(folder, "full/disk/step-00000006"),
    });
  });
});

describe("the process ends, and the newest checkpoint goes on to the same bytes", () => {
  test.each([
    { rank: 0, workersAfterwards: 1 },
    { rank: 1, workersAfterwards: 3 },
  ])("rank $rank of 2 killed, $workersAfterwards workers go on", async ({ rank, workersAfterwards }) => {
    const name = `crash-${rank}`;
    const running = await start(name, 2, [{ kind: "crash", step: 4, rank }]);
    const ended = await running.ended;
    expect(ended[rank]).toEqual({ code: null, signal: "SIGKILL" });
    expect(ended[1 - rank]).toEqual({ code: workerExitCode.linkLost, signal: null });
    expect(injectedOf(running, rank)).toEqual(["pool/0"]);
    expect(faultsOf(running, 1 - rank)).toMatchObject([{ kind: "link-down", step: 4, peer: rank, retried: false }]);
    const { from, running: again } = await resume(name, workersAfterwards, { struck: { "pool/0": 1 } });
    expect(from, "a completed step was lost").toBeGreaterThanOrEqual(stepsOf(running).at(-1)!);
    expect(await again.ended, again.output(0)).toEqual(Array.from({ length: workersAfterwards }, () => finished));
    expect(stepsOf(again)[0]).toBe(from + 1);
    expect(finish(again).weightsSha256).toBe(undisturbed);
  });

  test("both tiers full: nothing can be kept, so it ends and says so", async () => {
    const warm = await start("both-full", 1, [], { train: { steps: 1 } });
    expect(await warm.ended).toEqual([finished]);
    const running = await start("both-full", 1, [], { epoch: 2, fileKibibytesMax: 200 });
    expect(await running.ended, running.output(0)).toEqual([{ code: workerExitCode.noSpace, signal: null }]);
    expect(faultsOf(running, 0).at(-1)).toMatchObject({ kind: "no-space", retried: false });
  });

  test("a cut link is named by both ends; an exit code is the one that was asked for", async () => {
    const running = await start("cut", 2, [{ kind: "linkdown", step: 1, rank: 1 }]);
    const lost = { code: workerExitCode.linkLost, signal: null };
    expect(await running.ended).toEqual([lost, lost]);
    const exits = await start("cut", 1, [{ kind: "exit", step: 1, code: 3 }], { epoch: 2 });
    expect(await exits.ended).toEqual([{ code: 3, signal: null }]);
    expect(faultsOf(running, 0)).toMatchObject([{ kind: "link-down", peer: 1 }]);
    expect(faultsOf(running, 1)).toMatchObject([{ kind: "link-down", peer: 0 }]);
  });

  test("a heap run full", async () => {
    const running = await start("oom", 1, [{ kind: "oom", step: 1 }], { nodeArguments: ["--max-old-space-size=64"] });
    expect(await running.ended).toEqual([{ code: null, signal: "SIGABRT" }]);
    expect(running.output(0)).toMatch(/JavaScript heap out of memory/);
  });

  test("a flipped bit in the newest stored checkpoint: it is refused, the one before goes on", async () => {
    const running = await start("stored", 1, [
      { kind: "bitflip", target: "checkpoint", step: 5 },
      { kind: "crash", step: 5 },
    ]);
    expect(await running.ended).toEqual([{ code: null, signal: "SIGKILL" }]);
    expect(injectedOf(running, 0)).toEqual(["pool/0", "pool/1"]);
    const damaged = { path: join(folder, "stored/memory/step-00000004"), step: 4 };
    const refused = await startWorkers({ folder: join(folder, "stored"), workers: 1, epoch: 2, resume: damaged });
    expect(await refused.ended).toEqual([{ code: workerExitCode.corruptCheckpoint, signal: null }]);
    expect(faultsOf(refused, 0)).toMatchObject([
      { kind: "corrupt-checkpoint", detail: expect.stringMatching(/weights/) },
    ]);
    const { from, running: again } = await resume("stored", 2, { epoch: 3 });
    expect(from).toBe(3);
    expect(await again.ended, again.output(0)).toEqual([finished, finished]);
    expect(finish(again).weightsSha256).toBe(undisturbed);
  });
});

describe("asked to end, or not wanted any more", () => {
  const long = { train: { steps: 5000, checkpointEvery: 5000 } };

  test("SIGTERM stops every rank, without a fault, and what was complete goes on", async () => {
    const running = await start("term", 2, [], long);
    await untilSaid(running, 0, (e) => e.ev === "step" && e.step >= 3);
    for (const child of running.processes) child.kill("SIGTERM");
    const stopped = { code: workerExitCode.stopped, signal: null };
    expect(await running.ended, running.output(1)).toEqual([stopped, stopped]);
    expect(running.events(0).at(-1)).toMatchObject({ ev: "bye", reason: "stopped" });
    expect([...faultsOf(running, 0), ...faultsOf(running, 1)]).toEqual([]);
  });

  test("the agent's end (standard input) ends the worker", async () => {
    const running = await start("agent", 1, [], long);
    await untilSaid(running, 0, (e) => e.ev === "step");
    running.processes[0]!.stdin!.end();
    expect(await running.ended).toEqual([{ code: workerExitCode.stopped, signal: null }]);
  });

  test("a newer epoch fences it off before it publishes", async () => {
    const running = await start("fence", 1, [], long);
    await untilSaid(running, 0, (e) => e.ev === "step");
    writeFileSync(join(folder, "fence", "epoch"), "2\n");
    expect(await running.ended).toEqual([{ code: workerExitCode.fenced, signal: null }]);
  });

  test("a stopped rank is noticed by the one that waits for it", async () => {
    const running = await start("hang", 2, [{ kind: "hang", step: 3, rank: 1 }], {
      failover: { linkSilentSeconds: 5 },
    });
    const silent = await untilSaid(running, 0, (e) => e.ev === "fault");
    expect(silent).toMatchObject({ kind: "link-silent", peer: 1, step: 3, retried: false });
    running.processes[1]!.kill("SIGKILL");
    expect((await running.ended)[0]).toEqual({ code: workerExitCode.linkLost, signal: null });
  });
});

describe("refused before a step", () => {
  test("operators and number formats that the emulated platform lacks", async () => {
    const running = await startWorkers({
      ...{ folder: join(folder, "refused"), workers: 1 },
      emulate: { platform: "ascend", unsupportedOps: ["TopK"], precision: ["bf16"] },
    });
    expect(await running.ended).toEqual([{ code: workerExitCode.unsupported, signal: null }]);
    expect(faultsOf(running, 0)).toMatchObject([{ kind: "unsupported-precision" }, { kind: "unsupported-operator" }]);
    expect(running.output(0)).toMatch(/^EZ3002: .*fp32.*\nEZ3003: .*TopK/);
  });

  test("data that is missing, in one line", async () => {
    const running = await start("missing", 1, [], { data: { files: ["/nowhere/a.txt"] } });
    expect(await running.ended).toEqual([{ code: workerExitCode.badInput, signal: null }]);
    expect(running.output(0)).toBe(
      "dualgauge worker: data.text.files: /nowhere/a.txt: does not exist; name a .txt or .jsonl file or a folder of them\n",
    );
  });
});
