/**
 * The agent's part that somebody's own program needs: what it says is read, how its ranks end is judged, what it left is found.
 * Knows: the order, the watch. Does not know: how workers are started, the supervisor.
 */
import { systemClock } from "../host/clock.ts";
import { type ProcessIdentity, processesWithEnv, signalProcess } from "../host/processes.ts";
import type { AgentOrder } from "../launcher/agent-record.ts";
import { attemptMark } from "../launcher/worker-env.ts";
import { watchProgram } from "../program/watch-program.ts";
import type { Saying } from "./agent-main.ts";
import { watchAttemptDevices } from "./device-notes.ts";

export interface ProgramAgent {
  /** Whether a rank's end is a good one; waits a moment when another rank may yet print the last step. */
  judge(end: {
    readonly rank: number;
    readonly code: number | null;
    readonly signal: NodeJS.Signals | null;
    readonly othersLive: () => boolean;
  }): Promise<{ finished?: true }>;
  /** What the workers started; `children` are this process's own, which have been signalled. */
  signalOthers(signal: NodeJS.Signals, children: readonly (number | undefined)[]): void;
  /** Reads all that is left to read; whether the program has done what it was started for. */
  close(): Promise<boolean>;
}

const pollSeconds = 0.1;
/** How long the end of an attempt waits for a last look at the devices; a host without them waits for nothing. */
const lastLookSeconds = 1;
/** How long a rank that ended with 0 waits for another to print the last step, and for what it left behind to end. */
const patienceSeconds = 2;

export function programAgent(order: AgentOrder, say: (saying: Saying) => void): ProgramAgent {
  const { program, run, epoch } = order;
  if (program === undefined) throw new RangeError("the order has no program");
  const watch = watchProgram({
    ...{ run, epoch, adapter: program.adapter, steps: program.steps, step: program.step },
    checkpoint: program.checkpoint,
    ranks: order.workers.flatMap(({ rank, log, errors, told, events }) =>
      errors === undefined || told === undefined || events === undefined ? [] : [{ rank, log, errors, told, events }],
    ),
    monotonicSeconds: systemClock.monotonicSeconds,
    onNote: (note) => say({ ev: "noted", ...note }),
  });
  const devices = watchAttemptDevices(order, (note) => say({ ev: "noted", ...note }));
  /** A look that a bad end asked for: what killed the rank may show only now. */
  let lastLook: Promise<void> = Promise.resolve();
  const poll = setInterval(() => {
    watch.poll();
    watch.lookForCheckpoint();
  }, pollSeconds * 1000);
  let allGood = true;
  const others = (): ProcessIdentity[] => processesWithEnv(attemptMark, program.mark);
  const patiently = async (holds: () => boolean): Promise<void> => {
    const until = systemClock.monotonicSeconds() + patienceSeconds;
    while (holds() && systemClock.monotonicSeconds() < until) {
      await systemClock.wait(pollSeconds);
      watch.poll();
    }
  };

  return {
    async judge({ code, othersLive }) {
      watch.poll();
      // Its end is told without waiting for that.
      if (code !== 0 && devices !== undefined) lastLook = devices.lookNow();
      if (code === 0) await patiently(() => !watch.isDone() && othersLive());
      const finished = code === 0 && watch.isDone();
      allGood &&= finished;
      return finished ? { finished } : {};
    },
    signalOthers(signal, children) {
      for (const other of others()) if (!children.includes(other.pid)) signalProcess(other, signal);
    },
    async close() {
      clearInterval(poll);
      await Promise.race([lastLook, systemClock.wait(lastLookSeconds)]);
      devices?.close();
      // A program that has shown no step and left something running has not ended: it went into the background.
      const isVague = allGood && !watch.hasStepped() && program.steps === 0;
      if (isVague) await patiently(() => others().length > 0);
      const left = isVague ? others() : [];
      if (left.length > 0) {
        const pids = left.slice(0, 20).map(({ pid }) => pid);
        say({ ev: "noted", rank: null, what: "processes left behind", count: left.length, detail: pids.join(", ") });
      }
      watch.poll();
      await watch.lookForCheckpoint(true);
      watch.close();
      return allGood && left.length === 0;
    },
  };
}
