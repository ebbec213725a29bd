/**
 * Brings about every row of the fault matrix in the simulated cluster and measures what the real supervisor makes of it.
 * Knows: which mishap, run file or interference each row is, how to see that it fired. Does not know: real processes, documents.
 */
import type { VirtualClock } from "../../src/host/virtual-clock.ts";
import { type Launcher, LaunchFailed, type Observation } from "../../src/launcher/launcher.ts";
import { calm } from "../../src/launcher/simulated-cluster.ts";
import { type Mishap, mishap } from "../../src/launcher/simulated-mishap.ts";
import type { WorkerEvent } from "../../src/spec/worker-event.ts";
import { type Simulation, type SimulationResult, simulate, simulatedRun } from "../simulation/simulate.ts";
import { type FaultId, rowOf } from "./matrix.ts";
import { type Measured, measure } from "./measure.ts";

/** What is done in one row. */
interface Injection {
  readonly options?: Partial<Omit<Simulation, "seed" | "file">>;
  readonly run?: Parameters<typeof simulatedRun>[0];
  /** Whether it really happened. */
  readonly fired: (result: SimulationResult) => boolean;
}

const steps = 30;
const killed = { code: null, signal: "SIGKILL" } as const;

/** Runs the row with this seed; throws when what was to be injected never happened. */
export async function simulateFault(id: FaultId, seed: number): Promise<Measured> {
  const injection = injections[id]();
  const options = { seed, file: simulatedRun({ steps, ...injection.run }), ...injection.options };
  const result = await simulate(options);
  const fired = injection.fired(result);
  if (!fired)
    throw new Error(
      `${id}: the injection did not fire; replay: npm run faults -- --simulated --only ${id} --seed ${seed}`,
    );
  const undisturbed = await simulate({ seed, file: simulatedRun({ steps, ...injection.run }), ...sameSize(injection) });
  const struckAt = result.cluster.struckAt.map((time) => time - 1000);
  return measure(rowOf(id), { ...result, struckAt }, undisturbed.state.finished?.weightsSha256);
}

const sameSize = ({ options }: Injection): Partial<Simulation> =>
  options?.workers === undefined ? {} : { workers: options.workers };

/** Mishaps alone: they know themselves whether they struck. */
function befalls(...mishaps: readonly Mishap[]): Injection {
  return { options: { mishaps }, fired: () => mishaps.every(({ fired, times }) => fired === times) };
}

const end = (
  step: number,
  how: { code: number | null; signal: string | null; lines?: string[] },
  more: { rank?: number; times?: number; pool?: string } = {},
): Mishap => mishap({ kind: "end", step, rank: 1, ...how, ...more });

function emulated(fault: object): Injection {
  return { run: { faults: { ascend: [fault] } }, fired: ({ state }) => state.strikes.length > 0 };
}

const injections: Record<FaultId, () => Injection> = {
  sigkill: () => befalls(end(12, killed)),
  sigstop: () => befalls(mishap({ kind: "stop", step: 12, rank: 1 })),
  sigsegv: () => befalls(end(12, { code: null, signal: "SIGSEGV" })),
  "early-exit": () => befalls(end(12, { code: 0, signal: null })),
  "same-exception": () => {
    const raised = end(12, { code: 1, signal: null, lines: ["ValueError: the batch is empty"] }, { times: 1000 });
    return { options: { mishaps: [raised] }, fired: () => raised.fired >= 2 };
  },
  oom: () => befalls(end(12, { ...killed, lines: ["RuntimeError: Cannot allocate memory"] })),
  "checkpoint-no-space": () => befalls(mishap({ kind: "disk-refuses", step: 12, detail: "ENOSPC" })),
  "journal-no-space": () => {
    const disk = mishap({ kind: "disk-refuses", step: 12, detail: "ENOSPC" });
    const { options } = refusingJournal(8, "ENOSPC");
    return {
      options: { diskFull: { ...options.diskFull, silencesWorkers: true }, mishaps: [disk] },
      fired: ({ refusals, events }) =>
        refusals > 0 && disk.fired === 1 && events.some(({ type }) => type === "blinded"),
    };
  },
  eio: () => {
    const disk = mishap({ kind: "disk-refuses", step: 12, detail: "EIO" });
    const { options } = refusingJournal(3, "EIO");
    return { options: { ...options, mishaps: [disk] }, fired: ({ refusals }) => refusals > 0 && disk.fired === 1 };
  },
  "read-only": () => refusingJournal(10, "EROFS"),
  "shard-bit-flip": () =>
    befalls(mishap({ kind: "spoil", which: "newest", why: "a hash differs", step: 12 }), end(12, killed)),
  "torn-tracker": () =>
    befalls(mishap({ kind: "spoil", which: "newest-of-each-tier", why: "is not complete", step: 12 }), end(12, killed)),
  "killed-publishing": () => befalls(mishap({ kind: "kill-saving", step: 12 })),
  "missing-shard": () =>
    befalls(mishap({ kind: "spoil", which: "newest", why: "a file is missing", step: 12 }), end(12, killed)),
  "every-checkpoint-bad": () =>
    befalls(mishap({ kind: "spoil", which: "all", why: "a hash differs", step: 12 }), end(12, killed)),
  "slow-rank": () => emulated({ kind: "slow", step: 12, rank: 1, factor: 8, steps: 1000 }),
  "all-slow": () => befalls(mishap({ kind: "all-slow", step: 12, factor: 3 })),
  partition: () => befalls(mishap({ kind: "unheard", step: 12, rank: 1 })),
  blind: () => blinded({ from: 4, to: 34, why: "EIO" }),
  "link-flap": () => befalls(...[9, 10, 11].map((step) => mishap({ kind: "flap", step, rank: 1 }))),
  "slow-link": () => emulated({ kind: "linkslow", step: 12, rank: 1, steps: 1000 }),
  "clock-jump": () => ({
    options: {
      wallJumps: [
        { at: 2, bySeconds: 3600 },
        { at: 5, bySeconds: -7200 },
      ],
      kills: [
        { append: 30, when: "after" },
        { append: 40, when: "after" },
      ],
    },
    fired: (result) => result.killed === 2 && result.seconds > 5,
  }),
  nan: () => emulated({ kind: "nan", step: 12, rank: 1 }),
  "loss-spike": () => befalls(mishap({ kind: "spike", step: 12, factor: 10 })),
  "gradient-bit-flip": () => emulated({ kind: "bitflip", step: 12, rank: 1 }),
  "supervisor-killed": () => {
    // Every append of one run is a kill's turn, whole and torn in turns; test/simulation/kills does each alone.
    const kills = Array.from({ length: 12 }, (_, at) => ({
      append: 5 * at + 3,
      when: at % 2 === 0 ? ("after" as const) : ("torn" as const),
    }));
    return { options: { kills }, fired: (result) => result.killed >= 8 };
  },
  "two-supervisors": () => ({ options: { rivalAt: 4 }, fired: ({ refused }) => refused === 1 }),
  "agent-dies": () => befalls(mishap({ kind: "agent-dies", step: 12 })),
  zombie: () => {
    const zombie = mishap({ kind: "zombie", step: 12, rank: 1 });
    return { options: { mishaps: [zombie] }, fired: ({ cluster }) => zombie.fired === 1 && cluster.fenced > 0 };
  },
  "stale-events": () => repeated(),
  "stuck-beating": () => befalls(mishap({ kind: "stuck", step: 12, rank: 1 })),
  "log-flood": () => flooded(),
  "error-words": () => {
    const lines = [
      "torch.OutOfMemoryError: CUDA out of memory",
      "Traceback (most recent call last):",
      "Segmentation fault",
    ];
    return befalls(...[9, 10, 11].map((step) => mishap({ kind: "words", step, rank: 1, lines })));
  },
  "alternating-crashes": () => {
    const on = { pool: "ascend" };
    const crashes = [0, 1, 0, 1, 0].map((rank) => end(12, killed, { rank, ...on }));
    // One a time: each waits for the one before it.
    return { options: { mishaps: inTurn(crashes) }, fired: () => crashes.filter(({ fired }) => fired > 0).length >= 3 };
  },
  "port-in-use": () => refusedLaunches("ascend", 1, "listen EADDRINUSE: address already in use"),
  "bad-spare": () => {
    const crash = end(12, killed, { times: 2, pool: "ascend" });
    const { options, fired } = refusedLaunches("ascend", 2, "the spare failed its check", "ascend-2");
    return { options: { ...options, mishaps: [crash] }, fired: (result) => crash.fired === 2 && fired(result) };
  },
  "pool-fails": () => {
    const crashes = [5, 8, 11, 14].map((step) => end(step, killed, { pool: "ascend" }));
    return { ...befalls(...crashes), run: { failover: { maxFaultsPerPool: 3 } } };
  },
  "target-vanishes": () => {
    const crashes = [5, 8, 11, 14].map((step) => end(step, killed, { pool: "ascend" }));
    const { options, fired } = refusedLaunches("nvidia", Number.POSITIVE_INFINITY, "no node of the pool answers");
    return { options: { ...options, mishaps: crashes }, run: { failover: { maxFaultsPerPool: 3 } }, fired };
  },
  sigterm: () => ({ options: { stops: [{ at: 5, signal: "SIGTERM" }] }, fired: ({ stopped }) => stopped === 1 }),
  "ctrl-c": () => ({ options: { stops: [{ at: 5, signal: "SIGINT" }] }, fired: ({ stopped }) => stopped === 1 }),
  "slow-disk": () => {
    const crash = end(12, killed);
    return { options: { mishaps: [crash], fsyncSeconds: 5 }, fired: () => crash.fired === 1 };
  },
  "no-descriptors": () => {
    const crash = end(25, killed);
    const blind = blinded({ from: 4, to: 9, why: "EMFILE" });
    const refused = refusedLaunches("ascend", 1, "spawn EMFILE");
    const between = (launcher: Launcher, clock: VirtualClock): Launcher =>
      refused.options.between(blind.options.between(launcher, clock), clock);
    return {
      options: { mishaps: [crash], between },
      fired: (result) => crash.fired === 1 && blind.fired(result) && refused.fired(result),
    };
  },
  "thousand-ranks": () => {
    const crash = end(12, killed, { rank: 777 });
    return { options: { workers: 1200, mishaps: [crash] }, fired: () => crash.fired === 1 };
  },
};

/** Gives mishaps of one step to one attempt each. */
function inTurn(mishaps: readonly Mishap[]): Mishap[] {
  return mishaps.map((one, index) => ({
    ...one,
    get fired() {
      return index > 0 && mishaps[index - 1]?.fired === 0 ? one.times : one.fired;
    },
    set fired(count: number) {
      one.fired = count;
    },
  }));
}

function refusingJournal(seconds: number, code: string) {
  return {
    options: { diskFull: { from: 4, to: 4 + seconds, code } },
    fired: ({ refusals }: SimulationResult) => refusals > 0,
  };
}

/** Nothing can be read for a while, by whoever supervises; afterwards all that was missed comes at once. */
function blinded({ from, to, why }: { from: number; to: number; why: string }) {
  let blindLooks = 0;
  const between = (launcher: Launcher, clock: VirtualClock): Launcher => ({
    ...launcher,
    observe(epoch) {
      const since = clock.monotonicSeconds() - 1000;
      if (since < from || since >= to) return launcher.observe(epoch);
      blindLooks++;
      const blind = [{ view: "events", why }];
      const nothing = { records: [], events: [], processes: [], malformed: {} };
      return { monotonicSeconds: clock.monotonicSeconds(), agent: "unknown", blind, ...nothing };
    },
  });
  return { options: { between }, fired: (_: SimulationResult) => blindLooks > 5 };
}

/** Launches on a pool fail `times` times, or only those that use `node`. */
function refusedLaunches(pool: string, times: number, why: string, node?: string) {
  let refused = 0;
  const between = (launcher: Launcher): Launcher => ({
    ...launcher,
    async launch(order) {
      const isMeant = "spec" in order && order.spec.pool === pool && (node === undefined || order.nodes.includes(node));
      if (!isMeant || refused >= times) return launcher.launch(order);
      refused++;
      throw new LaunchFailed(why);
    },
  });
  return {
    options: { between: (launcher: Launcher, _: VirtualClock) => between(launcher) },
    fired: (_: SimulationResult) => refused > 0,
  };
}

/** Every event comes again one and two looks later, and some as if they were of an older epoch. */
function repeated(): Injection {
  let repeats = 0;
  const between = (launcher: Launcher): Launcher => {
    let before: readonly WorkerEvent[] = [];
    let long: readonly WorkerEvent[] = [];
    return {
      ...launcher,
      observe(epoch) {
        const seen = launcher.observe(epoch);
        const stale = before.map((event) => ({ ...event, epoch: Math.max(0, epoch - 1), seq: event.seq + 1_000_000 }));
        const events = [...long, ...seen.events, ...before, ...seen.events, ...stale];
        repeats += events.length - seen.events.length;
        long = before;
        before = seen.events;
        return { ...seen, events };
      },
    };
  };
  return { options: { between: (launcher) => between(launcher) }, fired: () => repeats > 100 };
}

function flooded(): Injection {
  let lines = 0;
  const between = (launcher: Launcher): Launcher => ({
    ...launcher,
    observe(epoch): Observation {
      lines += 100_000;
      return { ...launcher.observe(epoch), malformed: { 1: 100_000 } };
    },
  });
  return { options: { between: (launcher) => between(launcher), temper: calm }, fired: () => lines > 1e6 };
}
