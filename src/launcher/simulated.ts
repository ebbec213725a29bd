/**
 * Runs attempts in a simulated cluster on a virtual clock: the supervisor cannot tell it from a real launcher.
 * Knows: the launcher's contract. Does not know: how workers behave (simulated-attempt).
 */
import type { ProcessIdentity } from "../host/processes.ts";
import { type Launcher, LaunchFailed, type Observation } from "./launcher.ts";
import { startSimulatedAttempt } from "./simulated-attempt.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";

/** A launcher over `cluster`; a second one over the same cluster (after a supervisor's death) sees everything from the start. */
export function simulatedLauncher(cluster: SimulatedCluster): Launcher {
  const taken = new Map<number, { records: number; events: number }>();
  return {
    name: "simulated",
    async launch(order) {
      if (!("spec" in order)) throw new LaunchFailed("a simulated cluster starts no programs");
      if (cluster.attempts.has(order.epoch)) throw new LaunchFailed(`epoch ${order.epoch} was launched before`);
      const attempt = startSimulatedAttempt(cluster, order);
      cluster.attempts.set(order.epoch, attempt);
      return { agent: identityOf(attempt.pid, order.epoch) };
    },
    async living() {
      return [...cluster.attempts.values()]
        .filter((attempt) => attempt.isAlive())
        .map(({ epoch, pid, agentStatus }) => ({
          epoch,
          agent: agentStatus() === "gone" ? null : identityOf(pid, epoch),
        }));
    },
    async stop(epoch, graceSeconds) {
      const attempt = cluster.attempts.get(epoch);
      attempt?.stop(graceSeconds);
      while (attempt?.isAlive()) await cluster.clock.wait(0.02);
      return { epoch, stopped: true };
    },
    observe(epoch): Observation {
      const monotonicSeconds = cluster.clock.monotonicSeconds();
      const attempt = cluster.attempts.get(epoch);
      const nothing = { records: [], events: [], processes: [], blind: [], malformed: {} };
      if (attempt === undefined) return { ...nothing, monotonicSeconds, agent: "unknown" };
      const from = taken.get(epoch) ?? { records: 0, events: 0 };
      const { length } = attempt.events;
      const hasNews = length > from.events || attempt.records.length > from.records;
      const records = hasNews ? attempt.records.slice(from.records) : nothing.records;
      const events = hasNews ? attempt.events.slice(from.events) : nothing.events;
      if (hasNews) taken.set(epoch, { records: attempt.records.length, events: length });
      const processes = attempt.statuses();
      return { monotonicSeconds, agent: attempt.agentStatus(), records, events, processes, blind: [], malformed: {} };
    },
    lastLines: (epoch, rank) => cluster.attempts.get(epoch)?.lastLines(rank) ?? [],
    changed: () => Promise.resolve(),
    close: () => taken.clear(),
  };
}

const identityOf = (pid: number, epoch: number): ProcessIdentity => ({ pid, startTicks: epoch });
