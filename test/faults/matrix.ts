/**
 * The fault matrix: every fault that supervision is proved on, once; real and simulated runs fill in the same rows.
 * Knows: what is done to a run, what should notice it, what should come of it. Does not know: how a run is started or measured.
 * Ids are stable: docs/faults.md, tests and replay commands name them.
 */
import type { FaultAction, FaultKind } from "../../src/spec/vocabulary.ts";

/** What notices: `fault-detected.detectedBy`, or something that is no fault of the workers at all. */
export type Detector =
  | "exit"
  | "agent"
  | "progress"
  | "worker"
  | "launch"
  | "checkpoint"
  | "loss"
  | "step-time"
  | "link"
  /** The supervisor's own storage, lease or view. */
  | "journal"
  | "lease"
  | "blind"
  | "signal"
  /** The storage itself: the fencing token turned a late writer away. */
  | "fence"
  /** Nothing should notice it, because nothing is wrong with the run. */
  | "nothing";

/** A rung of the ladder, or what a supervisor does about itself. */
export type Action = FaultAction | "adopt" | "wait" | "refuse" | "stop";

export interface FaultRow {
  readonly id: string;
  readonly title: string;
  /** How it is brought about with real processes, or why one machine cannot. */
  readonly real: { readonly how: string } | { readonly impossible: string };
  /** How the simulated launcher brings it about. */
  readonly simulated: string;
  readonly detectedBy: readonly Detector[];
  /** As what it may be seen; empty when it must not be seen as a fault. */
  readonly kinds: readonly FaultKind[];
  /** What may be done about it; anything else is a false action. */
  readonly actions: readonly Action[];
  readonly ends: "finished" | "failed";
}

export const matrix = [
  {
    id: "sigkill",
    title: "worker SIGKILL",
    real: { how: "kill -9 of one worker" },
    simulated: "a rank exits by SIGKILL in the middle of a step",
    ...{ detectedBy: ["exit"], kinds: ["process-signal"], actions: ["restart"], ends: "finished" },
  },
  {
    id: "sigstop",
    title: "worker SIGSTOP",
    real: { how: "kill -STOP of one worker" },
    simulated: "a rank's process state becomes stopped; its peers miss it on their links",
    ...{ detectedBy: ["progress", "worker"], kinds: ["hang", "link-silent"], actions: ["restart"], ends: "finished" },
  },
  {
    id: "sigsegv",
    title: "worker SIGSEGV",
    real: { how: "kill -SEGV of one worker" },
    simulated: "a rank exits by SIGSEGV",
    ...{ detectedBy: ["exit"], kinds: ["process-signal"], actions: ["restart"], ends: "finished" },
  },
  {
    id: "early-exit",
    title: "clean exit too early",
    real: { how: "the program calls exit(0) before its last step" },
    simulated: "a rank exits with code 0 in the middle of the run",
    ...{ detectedBy: ["exit"], kinds: ["process-exit"], actions: ["restart"], ends: "finished" },
  },
  {
    id: "same-exception",
    title: "the same exception again and again",
    real: { how: "the program raises the same exception at the same step of every attempt" },
    simulated: "a rank prints the same traceback and exits with code 1 at the same step of every attempt",
    detectedBy: ["exit"],
    kinds: ["program-error", "process-exit", "bad-input"],
    ...{ actions: ["restart", "fix-job", "fail-over"], ends: "failed" },
  },
  {
    id: "oom",
    title: "out of memory by cgroup",
    real: { how: "memory cgroup with a limit below what the worker allocates" },
    simulated: "a rank exits by SIGKILL after the runtime's last words about memory",
    detectedBy: ["exit"],
    ...{ kinds: ["out-of-memory", "process-signal"], actions: ["restart", "evict-node"], ends: "finished" },
  },
  {
    id: "checkpoint-no-space",
    title: "out of space while writing a checkpoint",
    real: { how: "checkpoint folder on a tmpfs with a size limit" },
    simulated: "the disk tier refuses one checkpoint; the worker says so and goes on with the memory tier",
    ...{ detectedBy: ["worker"], kinds: ["no-space"], actions: ["retry"], ends: "finished" },
  },
  {
    id: "journal-no-space",
    title: "out of space while writing the journal",
    real: { how: "run directory on a tmpfs with a size limit, filled and freed" },
    simulated: "the run directory refuses journal, a checkpoint and what workers say for 8 s",
    ...{ detectedBy: ["journal", "worker"], kinds: ["no-space"], actions: ["wait", "retry"], ends: "finished" },
  },
  {
    id: "eio",
    title: "EIO",
    real: { how: "strace answers EIO to every write to the journal for 3 s" },
    simulated: "the journal's storage answers EIO for 3 s, and the disk tier once",
    ...{ detectedBy: ["journal", "worker"], kinds: ["no-space"], actions: ["wait", "retry"], ends: "finished" },
  },
  {
    id: "read-only",
    title: "read-only filesystem",
    real: {
      how: "strace answers EROFS to every write to the journal for 5 s (a mount with open files refuses to become read-only)",
    },
    simulated: "the journal's storage answers EROFS for 10 s",
    ...{ detectedBy: ["journal"], kinds: [], actions: ["wait"], ends: "finished" },
  },
  {
    id: "shard-bit-flip",
    title: "bit flip in a stored shard",
    real: { how: "one bit of the newest checkpoint's file is flipped, then a worker is killed" },
    simulated: "the newest checkpoint no longer verifies, then a rank is killed",
    detectedBy: ["checkpoint", "exit"],
    ...{ kinds: ["corrupt-checkpoint", "process-signal"], actions: ["retry", "restart"], ends: "finished" },
  },
  {
    id: "torn-tracker",
    title: "torn tracker file",
    real: { how: "the tracker file that names the newest checkpoint is cut to half, then a worker is killed" },
    simulated: "the newest checkpoint of each tier is there but is not named as complete, then a rank is killed",
    detectedBy: ["exit", "checkpoint"],
    ...{ kinds: ["process-signal", "corrupt-checkpoint"], actions: ["restart", "retry"], ends: "finished" },
  },
  {
    id: "killed-publishing",
    title: "kill in the middle of publishing",
    real: { how: "SIGKILL between writing a checkpoint and renaming it" },
    simulated: "rank 0 is killed while it saves, before the checkpoint is published",
    ...{ detectedBy: ["exit"], kinds: ["process-signal"], actions: ["restart"], ends: "finished" },
  },
  {
    id: "missing-shard",
    title: "missing shard",
    real: { how: "one file of the newest checkpoint is removed, then a worker is killed" },
    simulated: "the newest checkpoint is rejected for a file that is not there, then a rank is killed",
    detectedBy: ["checkpoint", "exit"],
    ...{ kinds: ["corrupt-checkpoint", "process-signal"], actions: ["retry", "restart"], ends: "finished" },
  },
  {
    id: "every-checkpoint-bad",
    title: "every checkpoint bad",
    real: { how: "a bit of every checkpoint in both tiers is flipped, then a worker is killed" },
    simulated: "no checkpoint of either tier verifies, then a rank is killed: the run stops and never starts at step 0",
    detectedBy: ["checkpoint", "exit"],
    ...{ kinds: ["corrupt-checkpoint", "process-signal"], actions: ["retry", "restart", "stop"], ends: "failed" },
  },
  {
    id: "slow-rank",
    title: "one slow rank",
    real: { how: "one worker burns processor time between steps" },
    simulated: "a rank computes 8 times slower",
    detectedBy: ["step-time"],
    ...{ kinds: ["straggler", "hang"], actions: ["evict-node", "none"], ends: "finished" },
  },
  {
    id: "all-slow",
    title: "all ranks slow",
    real: { how: "every worker burns processor time between steps" },
    simulated: "every rank computes 3 times slower from some step on",
    ...{ detectedBy: ["nothing"], kinds: [], actions: ["none"], ends: "finished" },
  },
  {
    id: "partition",
    title: "node partition",
    real: { how: "the veth of one worker's network namespace is taken down" },
    simulated: "a rank is heard by nobody, neither its peers nor the supervisor",
    detectedBy: ["worker", "progress"],
    ...{ kinds: ["link-silent", "hang", "link-down"], actions: ["restart"], ends: "finished" },
  },
  {
    id: "blind",
    title: "supervisor partitioned from its workers",
    real: { how: "strace answers EIO to every read of a worker's events for 3 s" },
    simulated: "nothing of the attempt can be read for 30 s while it trains on",
    ...{ detectedBy: ["blind"], kinds: [], actions: ["none"], ends: "finished" },
  },
  {
    id: "link-flap",
    title: "link flap",
    real: { how: "the veth of one worker goes down and up within the workers' patience, several times" },
    simulated: "a link breaks and comes back within a step, three times; the workers resend",
    ...{ detectedBy: ["worker"], kinds: ["link-down"], actions: ["retry"], ends: "finished" },
  },
  {
    id: "slow-link",
    title: "link at 1 Mbit/s",
    real: { how: "a token bucket on one worker's veth" },
    simulated: "a link carries a twentieth of what it did",
    detectedBy: ["link"],
    ...{ kinds: ["link-slow", "link-silent", "hang"], actions: ["evict-node", "none"], ends: "finished" },
  },
  {
    id: "clock-jump",
    title: "clock jumps by ± 1 h",
    real: {
      impossible:
        "setting the wall clock here would set it for the whole machine, and a time namespace shifts monotonic time only",
    },
    simulated: "the wall clock jumps by an hour forth and two back, also between two supervisors",
    ...{ detectedBy: ["nothing"], kinds: [], actions: ["none", "adopt"], ends: "finished" },
  },
  {
    id: "nan",
    title: "NaN",
    real: { how: "a worker's gradient is made NaN" },
    simulated: "a rank says that it computed NaN and computed the step again",
    ...{ detectedBy: ["worker"], kinds: ["nan"], actions: ["retry"], ends: "finished" },
  },
  {
    id: "loss-spike",
    title: "loss spike",
    real: { how: "the program reports a loss ten times too high at one step" },
    simulated: "rank 0 says a loss ten times too high at one step of the first attempt",
    ...{ detectedBy: ["loss"], kinds: ["loss-spike"], actions: ["restart"], ends: "finished" },
  },
  {
    id: "gradient-bit-flip",
    title: "silent bit flip in one rank's gradient",
    real: { how: "a bit of a gradient is flipped on its way to another rank" },
    simulated: "a rank says that what it received did not match its checksum and was sent again",
    ...{ detectedBy: ["worker"], kinds: ["corrupt-gradient"], actions: ["retry"], ends: "finished" },
  },
  {
    id: "supervisor-killed",
    title: "supervisor SIGKILL after every journal record",
    real: { how: "kill -9 of the supervisor after each append in turn; the same command goes on" },
    simulated: "nothing of the supervisor runs after each append in turn, whole and torn; another comes",
    ...{ detectedBy: ["journal"], kinds: [], actions: ["adopt"], ends: "finished" },
  },
  {
    id: "two-supervisors",
    title: "two supervisors at once",
    real: { how: "the same command is started twice" },
    simulated: "a second supervisor takes the lease while the first still runs",
    ...{ detectedBy: ["lease"], kinds: [], actions: ["refuse", "adopt"], ends: "finished" },
  },
  {
    id: "agent-dies",
    title: "the launcher's process dies",
    real: { how: "kill -9 of the agent" },
    simulated: "the agent is gone and its workers follow it",
    ...{ detectedBy: ["agent"], kinds: ["agent-lost"], actions: ["restart"], ends: "finished" },
  },
  {
    id: "zombie",
    title: "a zombie of an older epoch still writing",
    real: { how: "a worker of an ended attempt is kept alive in secret and publishes a checkpoint" },
    simulated: "a writer of the attempt before publishes other weights while the new one trains",
    detectedBy: ["fence", "exit"],
    ...{ kinds: ["process-signal"], actions: ["refuse", "restart"], ends: "finished" },
  },
  {
    id: "stale-events",
    title: "duplicate and stale heartbeats",
    real: { how: "lines of a worker's event file are appended again, and lines of an older epoch" },
    simulated: "every event is seen up to three times, late and out of order, those of older epochs as well",
    ...{ detectedBy: ["nothing"], kinds: [], actions: ["none"], ends: "finished" },
  },
  {
    id: "stuck-beating",
    title: "heartbeats go on while the step stands still",
    real: { how: "a worker's training thread waits for ever while its heartbeat thread goes on" },
    simulated: "a rank stays in phase compute for ever and its heartbeats go on",
    ...{ detectedBy: ["progress"], kinds: ["hang"], actions: ["restart"], ends: "finished" },
  },
  {
    id: "log-flood",
    title: "log flood (1 GB/min)",
    real: { how: "a worker prints 17 MB/s" },
    simulated: "a rank's output holds 100,000 lines a look that are no events",
    ...{ detectedBy: ["nothing"], kinds: [], actions: ["none"], ends: "finished" },
  },
  {
    id: "error-words",
    title: "error words inside training data",
    real: { how: "workers print training text that holds tracebacks and out-of-memory messages" },
    simulated: "what ranks printed last is full of error words while they train",
    ...{ detectedBy: ["nothing"], kinds: [], actions: ["none"], ends: "finished" },
  },
  {
    id: "alternating-crashes",
    title: "crash loop that alternates ranks",
    real: { how: "ranks 0 and 1 are killed in turn before a step completes" },
    simulated: "ranks 0 and 1 exit in turn at the same step of every attempt",
    detectedBy: ["exit"],
    ...{ kinds: ["process-signal"], actions: ["restart", "evict-node", "fail-over"], ends: "finished" },
  },
  {
    id: "port-in-use",
    title: "port in use",
    real: { how: "another process listens on the attempt's port" },
    simulated: "the first launch is refused with EADDRINUSE",
    ...{
      detectedBy: ["launch", "exit", "worker"],
      kinds: ["launch-failed", "process-exit", "link-down"],
      actions: ["restart"],
      ends: "finished",
    },
  },
  {
    id: "bad-spare",
    title: "a spare that fails its check",
    real: { how: "the command of the spare's rank cannot be started" },
    simulated: "the node that takes an evicted one's place starts no worker",
    detectedBy: ["exit", "step-time"],
    ...{
      kinds: ["process-signal", "launch-failed"],
      actions: ["restart", "evict-node", "fail-over"],
      ends: "finished",
    },
  },
  {
    id: "pool-fails",
    title: "the ascend pool fails K times",
    real: { how: "workers of the first pool are killed until its budget is spent" },
    simulated: "ranks of the first pool crash more often than its budget allows, a step apart",
    ...{ detectedBy: ["exit"], kinds: ["process-signal"], actions: ["restart", "fail-over"], ends: "finished" },
  },
  {
    id: "target-vanishes",
    title: "the target pool vanishes in the middle of failing over",
    real: { how: "launches on the second pool fail" },
    simulated: "every launch on the second pool is refused once the run has left the first",
    detectedBy: ["exit", "launch"],
    ...{ kinds: ["process-signal", "launch-failed"], actions: ["restart", "fail-over", "stop"], ends: "failed" },
  },
  {
    id: "sigterm",
    title: "SIGTERM to the supervisor",
    real: { how: "kill -TERM of the supervisor, then the same command again" },
    simulated: "the supervisor is asked to stop by SIGTERM; another one goes on later",
    ...{ detectedBy: ["signal"], kinds: [], actions: ["stop"], ends: "finished" },
  },
  {
    id: "ctrl-c",
    title: "Ctrl-C",
    real: { how: "SIGINT to the foreground process group, then the same command again" },
    simulated: "the supervisor is asked to stop by SIGINT; another one goes on later",
    ...{ detectedBy: ["signal"], kinds: [], actions: ["stop"], ends: "finished" },
  },
  {
    id: "slow-disk",
    title: "disk slow (fsync 5 s)",
    real: { how: "strace -e inject=fsync:delay_enter=5000000 on the supervisor" },
    simulated: "every durable append takes 5 s, during which the supervisor sees nothing",
    ...{ detectedBy: ["exit"], kinds: ["process-signal"], actions: ["restart"], ends: "finished" },
  },
  {
    id: "no-descriptors",
    title: "file descriptors exhausted",
    real: { how: "prlimit --nofile of the supervisor below what it needs" },
    simulated: "EMFILE: nothing of the attempt can be read for 5 s, and one launch fails",
    detectedBy: ["blind", "launch", "exit"],
    ...{ kinds: ["launch-failed", "process-signal"], actions: ["restart", "none"], ends: "finished" },
  },
  {
    id: "thousand-ranks",
    title: "more than 1,000 ranks",
    real: { impossible: "two cores cannot run a thousand workers" },
    simulated: "1,200 ranks, one of which is killed",
    ...{ detectedBy: ["exit"], kinds: ["process-signal"], actions: ["restart"], ends: "finished" },
  },
] as const satisfies readonly FaultRow[];

export type FaultId = (typeof matrix)[number]["id"];

/** The row of that id. */
export function rowOf(id: FaultId): FaultRow {
  const row = matrix.find((candidate) => candidate.id === id);
  if (row === undefined) throw new RangeError(`no fault ${id}`);
  return row;
}
