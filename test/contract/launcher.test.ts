/** What every launcher promises to the supervisor, tried on each; the local one with real processes, a real SIGKILL and SIGSTOP. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../../src/host/clock.ts";
import { identify, signalProcess } from "../../src/host/processes.ts";
import { virtualClock } from "../../src/host/virtual-clock.ts";
import type { AttemptOrder, Launcher, Observation } from "../../src/launcher/launcher.ts";
import { localLauncher } from "../../src/launcher/local.ts";
import { simulatedLauncher } from "../../src/launcher/simulated.ts";
import { simulatedCluster } from "../../src/launcher/simulated-cluster.ts";
import { isEngineRun } from "../../src/spec/run-file.ts";
import { raiseEpoch } from "../../src/store/run-directory.ts";
import { simulatedRun } from "../simulation/simulate.ts";

interface Place {
  readonly launcher: Launcher;
  readonly clock: Clock;
  readonly folders: { memory: string; disk: string; cache: string; epochFile: string };
  /** A launcher that knows nothing of what the first did, as after a supervisor's death. */
  another(): Launcher;
  raise(epoch: number): void;
  killAgent(epoch: number): void;
  close(): void;
}

function simulatedPlace(): Place {
  const clock = virtualClock();
  const cluster = simulatedCluster({ clock, seed: 1 });
  const launcher = simulatedLauncher(cluster);
  return {
    ...{ launcher, clock, folders: { memory: "/memory", disk: "/disk", cache: "/cache", epochFile: "/epoch" } },
    another: () => simulatedLauncher(cluster),
    raise: (epoch) => {
      cluster.epoch = epoch;
    },
    killAgent: (epoch) => cluster.attempts.get(epoch)?.killAgent(),
    close: () => launcher.close(),
  };
}

function localPlace(): Place {
  const root = mkdtempSync(join(tmpdir(), "dualgauge-launcher-"));
  const folder = join(root, "attempts");
  const folders = {
    memory: join(root, "memory"),
    disk: join(root, "disk"),
    cache: root,
    epochFile: join(root, "epoch"),
  };
  for (const made of [folder, folders.memory]) mkdirSync(made);
  const worker = join(import.meta.dirname, "..", "fake-worker.mjs");
  const workerCommand = (): string[] => [process.execPath, worker];
  const opened: Launcher[] = [];
  const open = (): Launcher => {
    const launcher = localLauncher({ folder, epochFile: folders.epochFile, clock: systemClock, workerCommand });
    opened.push(launcher);
    return launcher;
  };
  const launcher = open();
  return {
    ...{ launcher, clock: systemClock, folders, another: open },
    raise: (epoch) => raiseEpoch(folders.epochFile, epoch),
    killAgent: (epoch) => {
      const agent = open()
        .observe(epoch)
        .records.find((record) => record.ev === "agent");
      if (agent?.ev === "agent") signalProcess(agent, "SIGKILL");
    },
    close: () => {
      for (const one of opened) one.close();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

function order(place: Place, epoch: number, faults: object[] = []): AttemptOrder {
  const file = simulatedRun({ steps: 10_000, faults: { ascend: faults } });
  if (!isEngineRun(file)) throw new Error("the simulated run trains a model");
  const { model, data, train, failover } = file;
  const emulate = file.pools[0]?.emulate ?? { platform: "cpu" as const, unsupportedOps: [], faults: [] };
  return {
    ...{ epoch, nodes: ["ascend-0", "ascend-1"], graceSeconds: 1 },
    spec: {
      ...{ v: 1, run: file.name, epoch, pool: "ascend", model, data, train, emulate, failover },
      ...{ folders: place.folders, resume: null, struck: {} },
    },
  };
}

/** Everything that a launcher lets one see of an attempt, added up over observations. */
function watcher(place: Place, launcher: Launcher, epoch: number) {
  const seen = { records: [], events: [], last: undefined } as {
    records: Observation["records"][number][];
    events: Observation["events"][number][];
    last: Observation | undefined;
  };
  const look = (): void => {
    const observation = launcher.observe(epoch);
    seen.records.push(...observation.records);
    seen.events.push(...observation.events);
    const { processes } = observation;
    seen.last = processes.length === 0 ? { ...observation, processes: seen.last?.processes ?? [] } : observation;
  };
  return {
    seen,
    async until(what: string, holds: () => boolean): Promise<void> {
      const patience = place.clock.monotonicSeconds() + 30;
      for (look(); !holds(); look()) {
        if (place.clock.monotonicSeconds() > patience) throw new Error(`30 s without: ${what}`);
        await place.clock.wait(0.02);
      }
    },
  };
}

describe.each([
  { name: "simulated", place: simulatedPlace },
  { name: "local", place: localPlace },
])("launcher contract: $name", ({ place: makePlace }) => {
  let place: Place;
  afterEach(async () => {
    for (const { epoch } of await place.launcher.living()) await place.launcher.stop(epoch, 0.1);
    place.close();
  });

  async function launched(faults: object[] = []) {
    place = makePlace();
    place.raise(1);
    await place.launcher.launch(order(place, 1, faults));
    return watcher(place, place.launcher, 1);
  }

  test("workers start, step and are seen", async () => {
    const { seen, until } = await launched();
    await until("step 2 of both ranks", () =>
      [0, 1].every((rank) =>
        seen.events.some((event) => event.ev === "step" && event.rank === rank && event.step >= 2),
      ),
    );
    expect(seen.records.map(({ ev }) => ev)).toEqual(["agent", "spawned", "spawned"]);
    expect(seen.records.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(await place.launcher.living()).toMatchObject([{ epoch: 1, agent: { pid: expect.any(Number) } }]);
    expect(seen.last?.agent).toBe("running");
    for (const rank of [0, 1]) {
      const seqs = seen.events.filter((event) => event.rank === rank).map(({ seq }) => seq);
      expect(seqs).toEqual(seqs.map((_, index) => index + 1));
    }
  });

  test("stopping twice is stopping once, and nothing lives afterwards", async () => {
    const { seen, until } = await launched();
    await until("a step", () => seen.events.some(({ ev }) => ev === "step"));
    expect(await place.launcher.stop(1, 1)).toEqual(await place.launcher.stop(1, 1));
    expect(await place.launcher.living()).toEqual([]);
    await until("the agent's last record", () => seen.records.some(({ ev }) => ev === "ended"));
    expect(seen.records.filter(({ ev }) => ev === "exited")).toHaveLength(2);
  });

  test("an epoch that was never launched is stopped and observed without harm", async () => {
    place = makePlace();
    expect(await place.launcher.stop(9, 0.1)).toEqual({ epoch: 9, stopped: true });
    expect(place.launcher.observe(9)).toMatchObject({ records: [], events: [], agent: "unknown", blind: [] });
  });

  test("a rank that is killed is seen with its signal, after all that it said", async () => {
    const { seen, until } = await launched([{ kind: "crash", rank: 1, step: 3 }]);
    await until("the exit", () => seen.records.some(({ ev }) => ev === "exited"));
    const exit = seen.records.find((record) => record.ev === "exited" && record.rank === 1);
    expect(exit).toMatchObject({ rank: 1, code: null, signal: "SIGKILL" });
    expect(seen.events).toContainEqual(expect.objectContaining({ ev: "injected", kind: "crash", rank: 1, step: 3 }));
  });

  test("a rank that is stopped is seen as stopped, and stop ends it", async () => {
    const { seen, until } = await launched([{ kind: "hang", rank: 1, step: 3 }]);
    await until(
      "state T",
      () => seen.last?.processes.some(({ rank, status }) => rank === 1 && status === "stopped") ?? false,
    );
    await place.launcher.stop(1, 1);
    expect(await place.launcher.living()).toEqual([]);
  });

  test("whoever comes later sees everything from the start", async () => {
    const { seen, until } = await launched();
    await until("three steps", () => seen.events.some((event) => event.ev === "step" && event.step === 3));
    const later = watcher(place, place.another(), 1);
    await later.until("the newest event", () => later.seen.events.length >= seen.events.length);
    expect(later.seen.records).toEqual(seen.records);
    expect(later.seen.events.filter(({ rank }) => rank === 0).slice(0, 5)).toEqual(
      seen.events.filter(({ rank }) => rank === 0).slice(0, 5),
    );
  });

  test("an attempt of an older epoch starts nothing", async () => {
    place = makePlace();
    place.raise(5);
    await place.launcher.launch(order(place, 4));
    const { seen, until } = watcher(place, place.launcher, 4);
    await until("the end", () => seen.records.some(({ ev }) => ev === "ended"));
    expect(seen.records.at(-1)).toMatchObject({ ev: "ended", reason: "fenced" });
    expect(seen.records.some(({ ev }) => ev === "spawned")).toBe(false);
  });

  test("workers do not outlive their agent, and its absence is seen", async () => {
    const { seen, until } = await launched();
    await until("a step", () => seen.events.some(({ ev }) => ev === "step"));
    place.killAgent(1);
    await until("absence", () => seen.last?.agent === "gone");
    const patience = place.clock.monotonicSeconds() + 30;
    while ((await place.launcher.living()).length > 0) {
      expect(place.clock.monotonicSeconds()).toBeLessThan(patience);
      await place.clock.wait(0.05);
    }
    expect(seen.records.some(({ ev }) => ev === "ended")).toBe(false);
  });
});

test("a process number that was used again is no longer the process", () => {
  const me = identify(process.pid);
  expect(me).toBeDefined();
  expect(signalProcess({ pid: process.pid, startTicks: (me?.startTicks ?? 0) + 1 }, "SIGKILL")).toBe(false);
});
