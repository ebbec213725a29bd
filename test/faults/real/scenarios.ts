/**
 * How each fault of the matrix is brought about with real processes on this machine.
 * Knows: signals, files, control groups, namespaces, strace. Does not know: what should come of it (matrix.ts), how it is measured.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { identify } from "../../../src/host/processes.ts";
import type { FaultId } from "../matrix.ts";
import { createNetwork, type Network, startIn } from "./network.ts";
import { command, kill, pause, type RealRun, type RunOptions } from "./real-run.ts";
import { flipBit, killAndSpoil, removeShard, tearTracker } from "./spoil.ts";
import { underStrace } from "./strace.ts";

export interface Scenario extends RunOptions {
  /** Brings the fault about in a run that has been started, unless `starts`; says when by `run.strikes()` or a worker's deed. */
  readonly strike?: (run: RealRun) => Promise<void>;
  /** `strike` starts the run itself, with the engine's workers or with those that train nothing. */
  readonly starts?: "engine" | "fake";
  /** It is brought about some time before it strikes: memory has to run full first, a checkpoint to be written. */
  readonly strikesLater?: true;
  /** Why nobody notices it here, where the row allows that somebody does. */
  readonly unnoticed?: string;
  /** What has to exist here, by command name; root is needed for all but signals. */
  readonly needs?: readonly string[];
}

const signalTo =
  (signal: NodeJS.Signals, rank: number) =>
  async (run: RealRun): Promise<void> => {
    await run.untilStep(10);
    const pid = run.worker(rank);
    run.strikes();
    kill(pid, signal);
  };

/** Many faults on one pool are what is wanted; without this it would be left. */
const patient = (run: object): object => ({
  ...run,
  failover: { maxFaultsPerPool: 20, maxFaultsPerProductiveHour: 1e9 },
});

const text =
  "line 7: RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB\nTraceback (most recent call last):\n";

const journalOf = (dir: string): string => join(dir, "journal.jsonl");

/** Stops the supervisor by a signal, then the same command goes on. */
const stopAndGoOn =
  (signal: "SIGTERM" | "SIGINT") =>
  async (run: RealRun): Promise<void> => {
    await run.untilStep(10);
    run.strikes();
    kill(run.supervisor(), signal);
    const { code, stderr } = await run.ended();
    if (code !== 130) throw new Error(`exit ${code} after ${signal}: ${stderr}`);
    run.start();
  };

/** The engine's ranks in two namespaces; what happens to the network between them, once the run has come to `step`. */
const onNetwork = (
  step: number,
  happens: (network: Network, run: RealRun) => Promise<void>,
  needs: readonly string[] = [],
): Scenario => ({
  ...{ steps: 400, starts: "engine", needs: ["root", "ip", ...needs] },
  async strike(run) {
    const network = createNetwork();
    startIn(network, run);
    await run.untilStep(step);
    run.strikes();
    await happens(network, run);
  },
});

export const scenarios: Partial<Record<FaultId, Scenario>> = {
  sigkill: { strike: signalTo("SIGKILL", 1) },
  sigstop: { strike: signalTo("SIGSTOP", 1) },
  sigsegv: { strike: signalTo("SIGSEGV", 1) },
  "early-exit": { deeds: { leave: { rank: 1, step: 10, epochs: [1] } } },
  "same-exception": { deeds: { raise: { rank: 1, step: 10 } } },
  oom: {
    deeds: { allocate: { rank: 1, step: 10, epochs: [1] } },
    strike: limitMemory,
    strikesLater: true,
    needs: ["root"],
  },
  "checkpoint-no-space": {
    setup: { engine: true },
    strikesLater: true,
    needs: ["root", "mount"],
    async strike(run) {
      await run.until("the first checkpoint", () => existsSync(join(run.dir, "checkpoints")));
      command("mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", join(run.dir, "checkpoints"));
      run.defer(() => command("umount", "-l", join(run.dir, "checkpoints")));
      run.strikes();
      await run.until("a checkpoint without space", () => run.events().some(({ type }) => type === "fault-detected"));
      command("mount", "-o", "remount,size=64m", join(run.dir, "checkpoints"));
    },
    steps: 400,
  },
  "journal-no-space": {
    mebibytes: 64,
    setup: { engine: true },
    steps: 600,
    strike: fillDisk,
    needs: ["root", "mount"],
  },
  eio: {
    unnoticed: "the journal waits until it can be written",
    steps: 120,
    strike: underStrace("write,pwrite64,writev:error=EIO", { seconds: 3, onFile: journalOf }),
    needs: ["strace"],
  },
  "read-only": {
    steps: 120,
    strike: underStrace("write,pwrite64,writev,openat:error=EROFS", { seconds: 5, onFile: journalOf }),
    needs: ["strace"],
  },
  "shard-bit-flip": { strike: (run) => killAndSpoil(run, flipBit, "newest") },
  "torn-tracker": { strike: (run) => killAndSpoil(run, tearTracker, "newest") },
  "killed-publishing": { deeds: { dieWhilePublishing: { step: 12, epoch: 1 } } },
  "missing-shard": { strike: (run) => killAndSpoil(run, removeShard, "newest") },
  "every-checkpoint-bad": { strike: (run) => killAndSpoil(run, flipBit, "all") },
  // The spare that takes its place is not slow.
  "slow-rank": { steps: 120, deeds: { slow: { rank: 1, step: 40, seconds: 0.24, epochs: [1] } } },
  "all-slow": {
    steps: 80,
    async strike(run) {
      await run.untilStep(40);
      run.strikes();
      run.pace(90);
    },
  },
  partition: onNetwork(40, async (network, run) => {
    network.link("down");
    await run.until("the partition seen", () => run.events().some(({ type }) => type === "fault-detected"));
    network.link("up");
  }),
  "link-flap": {
    unnoticed: "TCP sends again what was lost, within the workers' patience",
    ...onNetwork(40, async (network) => {
      for (let flap = 0; flap < 3; flap++) {
        network.link("down");
        await pause(0.3);
        network.link("up");
        await pause(0.5);
      }
    }),
  },
  "slow-link": onNetwork(
    60,
    async (network, run) => {
      network.shape("1mbit");
      // The spare stands where the slow one stood, so its link is mended.
      await run.until("the slow link seen", () => run.events().some(({ type }) => type === "fault-detected"));
      network.unshape();
    },
    ["tc"],
  ),
  blind: {
    ...{ steps: 250, needs: ["strace"] },
    strike: underStrace("read,pread64:error=EIO", {
      seconds: 3,
      onFile: (dir) => join(dir, "attempts", "1", "rank-1.events.jsonl"),
    }),
  },
  nan: { setup: { engine: true }, change: injecting({ kind: "nan", rank: 0, step: 20 }) },
  "loss-spike": { deeds: { spike: { step: 50, epoch: 1, factor: 10 } } },
  "gradient-bit-flip": { setup: { engine: true }, change: injecting({ kind: "bitflip", rank: 1, step: 20 }) },
  "supervisor-killed": { starts: "fake", steps: 40, strike: killAfterEachRecord },
  "two-supervisors": {
    steps: 300,
    async strike(run) {
      await run.untilStep(10);
      const first = run.ended();
      run.strikes();
      run.start();
      const second = await run.ended();
      if (second.code !== 2) throw new Error(`a second supervisor ended with ${second.code}`);
      await first;
    },
  },
  "agent-dies": {
    async strike(run) {
      await run.untilStep(10);
      run.strikes();
      kill(run.agent(), "SIGKILL");
    },
  },
  zombie: {
    steps: 250,
    deeds: {
      zombie: { rank: 0, step: 8, epochs: [1], program: resolve(import.meta.dirname, "../../zombie-writer.mjs") },
    },
    async strike(run) {
      await signalTo("SIGKILL", 1)(run);
      const note = join(run.dir, "epoch.zombie");
      await run.until("the zombie's attempt to write", () => existsSync(note));
      const { refused } = JSON.parse(readFileSync(note, "utf8"));
      if (!/Fenced/.test(String(refused))) throw new Error(`the zombie was not turned away: ${refused}`);
    },
  },
  "stale-events": {
    async strike(run) {
      await run.untilStep(10);
      const file = join(run.dir, "attempts", "1", "rank-1.events.jsonl");
      const said = readFileSync(file, "utf8").split("\n").slice(0, -1);
      run.strikes();
      const older = said.map((line) => line.replace('"epoch":1', '"epoch":0'));
      appendFileSync(file, `${[...said, ...older, ...said.toReversed()].join("\n")}\n`);
    },
  },
  "stuck-beating": { deeds: { beat: { rank: 1, step: 12, epochs: [1] } } },
  "log-flood": {
    steps: 120,
    deeds: { print: { rank: 1, step: 10, secondsAStep: 0.02, text: `${"0123456789abcdef".repeat(2048)}\n` } },
  },
  "error-words": { deeds: { print: { rank: 1, step: 5, secondsAStep: 0, text } } },
  "alternating-crashes": {
    change: patient,
    deeds: {
      crashes: [
        { rank: 0, step: 12, epoch: 1 },
        { rank: 1, step: 12, epoch: 2 },
        { rank: 0, step: 12, epoch: 3 },
        { rank: 1, step: 12, epoch: 4 },
      ],
    },
  },
  "port-in-use": {
    setup: { engine: true, takesPort: true },
    async strike(run) {
      run.strikes();
      await run.untilStep(1);
    },
  },
  "bad-spare": {
    change: patient,
    setup: { brokenNodes: ["alpha-2"] },
    deeds: { crashes: [1, 2, 3].map((epoch) => ({ rank: 1, step: 12, epoch })) },
  },
  "pool-fails": {
    change: (run) => ({ ...run, failover: { maxFaultsPerPool: 2, maxFaultsPerProductiveHour: 1e9 } }),
    deeds: { crashes: [1, 2, 3].map((epoch) => ({ rank: epoch % 2, step: 10 + epoch, epoch })) },
  },
  "target-vanishes": {
    setup: { brokenPools: ["beta"] },
    change: (run) => ({ ...run, failover: { maxFaultsPerPool: 1, maxFaultsPerProductiveHour: 1e9 } }),
    deeds: { crashes: [1, 2].map((epoch) => ({ rank: 1, step: 10 + epoch, epoch })) },
  },
  sigterm: { strike: stopAndGoOn("SIGTERM") },
  "ctrl-c": { strike: stopAndGoOn("SIGINT") },
  "slow-disk": {
    ...{ steps: 300, needs: ["strace"] },
    strike: underStrace("fsync,fdatasync:delay_enter=5000000", {
      seconds: 14,
      async meanwhile(run) {
        run.strikes();
        kill(run.worker(1), "SIGKILL");
      },
    }),
  },
  "no-descriptors": {
    ...{ steps: 300, needs: ["prlimit"] },
    async strike(run) {
      await run.untilStep(20);
      const pid = run.supervisor();
      const victim = run.worker(1);
      run.strikes();
      command("prlimit", "--pid", String(pid), "--nofile=8:4096");
      kill(victim, "SIGKILL");
      await pause(4);
      if (identify(pid) === undefined) throw new Error(`the supervisor died: ${(await run.ended()).stderr}`);
      command("prlimit", "--pid", String(pid), "--nofile=1024:4096");
    },
  },
};

function injecting(fault: object): NonNullable<RunOptions["change"]> {
  return (run) => ({
    ...run,
    pools: run.pools.map((pool, index) =>
      index === 0 ? { ...pool, emulate: { ...pool.emulate, faults: [fault] } } : pool,
    ),
  });
}

/** A control group of 160 MiB for rank 1, which then allocates without end; the kernel kills it. */
async function limitMemory(run: RealRun): Promise<void> {
  const group = `/sys/fs/cgroup/memory/dualgauge-${process.pid}`;
  mkdirSync(group);
  run.defer(() => rmdirSync(group));
  writeFileSync(join(group, "memory.limit_in_bytes"), String(160 * 2 ** 20));
  await run.untilStep(1);
  writeFileSync(join(group, "cgroup.procs"), String(run.worker(1)));
  await run.until("the out-of-memory killer", () => run.events().some(({ type }) => type === "fault-detected"));
  if (Number(readFileSync(join(group, "memory.failcnt"), "utf8")) === 0) throw new Error("the limit was never reached");
}

/** Fills the run's directory, which is a tmpfs, and frees it again. */
async function fillDisk(run: RealRun): Promise<void> {
  await run.untilStep(20);
  const ballast = join(run.dir, "cache", "ballast");
  mkdirSync(join(run.dir, "cache"), { recursive: true });
  run.strikes();
  for (const piece of [2 ** 20, 4096, 1]) {
    for (;;) {
      try {
        appendFileSync(ballast, Buffer.alloc(piece));
      } catch {
        break; // ENOSPC, which is what is wanted
      }
    }
  }
  await pause(4);
  rmSync(ballast);
}

/** Starts the same command again and again; each supervisor is killed one journal record further on than the last. */
async function killAfterEachRecord(run: RealRun): Promise<void> {
  run.pace(1000);
  run.strikes();
  let deaths = 0;
  for (;;) {
    // One to six records on, so that every kind of record is some supervisor's last.
    const diesAfter = (run.events().at(-1)?.seq ?? 0) + 1 + (deaths % 6);
    run.start(deaths < 30 ? { diesAfter } : {});
    const { signal, code, stderr } = await run.ended();
    if (signal !== "SIGKILL") {
      if (code !== 0) throw new Error(`exit ${code}: ${stderr}`);
      break;
    }
    if (++deaths === 30) run.pace(20);
  }
  if (deaths < 30) throw new Error(`only ${deaths} supervisors died`);
}
