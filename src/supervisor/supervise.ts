/**
 * The supervisor's loop: observe → append → reduce → detect → decide → intent → act → outcome, until the run has ended.
 * Knows: the order of these. Does not know: what is detected (detect), decided (decide) or done (act). It may die at any moment;
 * the next one replays the journal, looks at what really lives, and goes on.
 */
import { isDescriptorError, isStorageError, systemErrorCode } from "../host/files.ts";
import type { EventDraft } from "../journal/event.ts";
import type { RunState } from "../journal/state.ts";
import type { Observation } from "../launcher/launcher.ts";
import { BadInput } from "../spec/bad-input.ts";
import { act, carry, endAttempt } from "./act.ts";
import { decide } from "./decide.ts";
import { detect } from "./detect.ts";
import { facts, inParts } from "./facts.ts";
import { createView, forgetSilence, look, type View } from "./view.ts";
import type { World } from "./world.ts";

/** Between two looks when nothing wakes the supervisor earlier; the end of a process always does. */
export const tickSeconds = 0.2;
/** The least time between two looks, so that chatty workers do not make it spin. */
const shortestTickSeconds = 0.01;
/** Between two looks at who holds the lease; it is also looked at before every launch. */
const leaseCheckSeconds = 1;
/** How long a journal that cannot be written is waited for; nothing is done to the workers meanwhile. */
const storagePatienceSeconds = 60;

/** Supervises until the run is finished or failed, or `signal` asks to stop; gives the final state. */
export async function supervise(world: World, signal: AbortSignal): Promise<RunState> {
  const { log, clock, launcher } = world;
  const memory: Memory = { view: undefined, seen: undefined, unwritten: [], unwritableSince: undefined };
  if (!(await atOnce(takeOver(world, memory)))) return log.state();
  let nextLeaseCheck = 0;
  for (;;) {
    if (clock.monotonicSeconds() >= nextLeaseCheck) {
      checkLease(world);
      nextLeaseCheck = clock.monotonicSeconds() + leaseCheckSeconds;
    }
    if (signal.aborted) {
      while (memory.seen !== undefined) watch(world, memory);
      return atOnce(interrupt(world, String(signal.reason ?? "SIGINT")));
    }
    watch(world, memory);
    if (memory.seen !== undefined) {
      // Nothing is done about half a look; the rest of it is the next tick's, and whatever waits meanwhile has its turn.
      await clock.wait(0);
      continue;
    }
    await carryOut(world, memory, signal);
    if (log.state().phase === "finished" || log.state().phase === "failed") break;
    if (signal.aborted) continue;
    const before = clock.monotonicSeconds();
    await clock.wait(tickSeconds, launcher.changed());
    const waited = clock.monotonicSeconds() - before;
    if (waited < shortestTickSeconds) await clock.wait(shortestTickSeconds - waited);
  }
  log.append([{ type: "supervisor-stopped", data: { reason: "ended", signal: null } }]);
  return log.state();
}

/** What one supervisor keeps beside the journal; all of it can be lost. */
interface Memory {
  view: View | undefined;
  /** What a look has seen and the journal has not: taken while taking over, or too much for one tick. */
  seen: Observation | undefined;
  /** Facts that the journal could not take. */
  unwritten: readonly EventDraft[];
  unwritableSince: number | undefined;
}

/** Replays, ends what is left of older attempts, adopts what lives of the current one. False when the run is over. */
async function takeOver(world: World, memory: Memory): Promise<boolean> {
  const { log, launcher, supervisor, policy } = world;
  if (log.state().phase === "new") log.append([{ type: "run-created", data: world.created }]);
  if (log.state().phase === "finished") {
    world.tiers.clearMemory();
    return false;
  }
  const started: EventDraft = { type: "supervisor-started", data: supervisor };
  if (log.state().phase === "failed")
    log.append([{ type: "run-resumed", data: { why: "started again by a person" } }, started]);
  else log.append([started]);
  const { attempt } = log.state();
  const current = attempt !== undefined && attempt.status !== "ended" ? attempt.epoch : undefined;
  const living = await launcher.living();
  for (const { epoch } of living) {
    if (epoch !== current) await launcher.stop(epoch, policy.failover.stopGraceSeconds);
  }
  if (attempt === undefined || current === undefined) return true;
  const alive = living.find(({ epoch }) => epoch === current);
  memory.seen = launcher.observe(current);
  const hasStarted = alive !== undefined || memory.seen.records.length > 0;
  const agent = alive?.agent ?? null;
  if (!hasStarted && attempt.status === "intended") {
    log.append([
      { type: "attempt-ended", data: { outcome: "never-started", why: "the supervisor died before the launch" } },
    ]);
  } else if (attempt.status === "intended") {
    log.append([{ type: "launched", data: { agent, adopted: true } }]);
  } else if (alive !== undefined) {
    log.append([{ type: "adopted", data: { agent } }]);
  }
  return true;
}

/** One look at the living attempt: facts and faults go into the journal. */
function watch(world: World, memory: Memory): void {
  const { log, launcher, clock, policy } = world;
  const { attempt } = log.state();
  if (attempt === undefined || attempt.status === "ended" || attempt.status === "intended") {
    // What was seen while taking over is of an attempt that never started.
    memory.seen = undefined;
    return;
  }
  if (memory.view?.epoch !== attempt.epoch) {
    const { epoch, nodes, resume } = attempt;
    const speaker = policy.program === undefined ? "rank-0" : "any";
    const start = { epoch, nodes, step: resume?.step ?? 0, speaker } as const;
    memory.view = createView(start, clock.monotonicSeconds(), memory.view?.losses);
  }
  const { view } = memory;
  const { now, later } = inParts(memory.seen ?? launcher.observe(attempt.epoch));
  memory.seen = later;
  look(view, now, (rank) => launcher.lastLines(attempt.epoch, rank));
  write(world, memory, facts(now, log.state(), policy));
  // Nothing is concluded from half a look.
  if (memory.unwritten.length > 0 || later !== undefined) return;
  const found = detect(view, log.state(), policy);
  write(world, memory, found);
  if (found.length === 0 || memory.unwritten.length === 0) return;
  // Where the journal finds no space, workers find none to say that they are well: their silence meanwhile says nothing.
  memory.unwritten = [];
  forgetSilence(view);
}

/** What cannot be read now is read a second later, and before a launch in any case. */
function checkLease(world: World): void {
  try {
    world.checkLease();
  } catch (error) {
    if (!isPassing(error)) throw error;
  }
}

/** A person or time may mend it while the workers go on. */
const isPassing = (error: unknown): boolean => isStorageError(error) || isDescriptorError(error);

/** Appends, or keeps the facts while the disk is full: without a journal nothing is decided and nothing is done. */
function write(world: World, memory: Memory, drafts: readonly EventDraft[]): void {
  const { log } = world;
  if (drafts.length === 0 && memory.unwritten.length === 0) return;
  const all = withoutRepeats([...memory.unwritten, ...drafts], log.state());
  try {
    log.append(all);
    memory.unwritten = [];
    if (all.length > 0) memory.unwritableSince = undefined;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    memory.unwritten = all;
    waitForStorage(world, memory, code);
  }
}

/** Sight that comes and goes, while it cannot be written, is seen anew with every look. */
function withoutRepeats(drafts: readonly EventDraft[], state: RunState): readonly EventDraft[] {
  if (!drafts.some(({ type }) => type === "blinded")) return drafts;
  const blind = new Set(Object.keys(state.blind));
  return drafts.filter(({ type, data }) => {
    if (type === "sighted") return blind.delete(data.view);
    if (type !== "blinded") return true;
    const isNew = !blind.has(data.view);
    blind.add(data.view);
    return isNew;
  });
}

async function carryOut(world: World, memory: Memory, signal: AbortSignal): Promise<void> {
  while (memory.unwritten.length === 0 && !signal.aborted) {
    const intent = decide(world.log.state(), world.policy);
    if (intent === undefined) return;
    // A tick of its own: what found it and what is done about it may both have been long.
    await world.clock.wait(0);
    const shortage = world.shortage();
    if (shortage !== undefined) {
      waitForStorage(world, memory, shortage);
      return;
    }
    try {
      await act(world, intent);
      memory.unwritableSince = undefined;
    } catch (error) {
      // The intent is decided anew from the same state when there is space.
      const code = systemErrorCode(error);
      if (code === undefined || !isPassing(error)) throw error;
      waitForStorage(world, memory, code);
      return;
    }
  }
}

/** BadInput once the storage could not be written for long enough. */
function waitForStorage({ clock }: World, memory: Memory, code: string): void {
  memory.unwritableSince ??= clock.monotonicSeconds();
  if (clock.monotonicSeconds() - memory.unwritableSince < storagePatienceSeconds) return;
  throw new BadInput(`${howToMend(code)}: the workers go on meanwhile`);
}

/** At the beginning and the end nobody can wait for space: a person is told at once. */
async function atOnce<T>(doing: Promise<T>): Promise<T> {
  try {
    return await doing;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined || !isPassing(error)) throw error;
    throw new BadInput(howToMend(code));
  }
}

function howToMend(code: string): string {
  return code === "EMFILE" || code === "ENFILE"
    ? `the supervisor: can open no more files (${code}); raise \`ulimit -n\`, then run the same command`
    : `the run's directory: cannot be written (${code}); free space or mend it, then run the same command`;
}

/** A person stops the run: the workers end, what they have made goes to disk, the same command goes on later; or it detaches. */
async function interrupt(world: World, signal: string): Promise<RunState> {
  const { log, tiers, policy } = world;
  const { attempt } = log.state();
  // A person at the terminal means the run; a service manager that ends or replaces the supervisor may mean only that.
  if (policy.failover.onSupervisorStop === "detach" && signal !== "SIGINT") {
    log.append([{ type: "supervisor-stopped", data: { reason: "detached", signal } }]);
    return log.state();
  }
  if (attempt !== undefined && attempt.status !== "ended") {
    await endAttempt(world, { type: "end-attempt", outcome: "stopped", why: `stopped by ${signal}` });
  }
  // In memory it would not outlive a restart of the host.
  const { newest } = await tiers.newest(null);
  if (newest !== undefined) await carry(world, newest);
  log.append([{ type: "supervisor-stopped", data: { reason: "signal", signal } }]);
  return log.state();
}
