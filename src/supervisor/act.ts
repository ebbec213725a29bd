/**
 * Carries intents out: makes each durable first, does it, records the outcome. Has no opinions.
 * Knows: launcher, tiers, log. Does not know: why. Every action may be done again after a crash between intent and outcome.
 */
import { faultFacts } from "../diagnosis/fault-facts.ts";
import { systemErrorCode } from "../host/files.ts";
import type { CheckpointRef, EventData, EventDraft } from "../journal/event.ts";
import { LaunchFailed, type Observation } from "../launcher/launcher.ts";
import type { Intent } from "./decide.ts";
import { facts, inParts } from "./facts.ts";
import type { World } from "./world.ts";

type Of<T extends Intent["type"]> = Extract<Intent, { type: T }>;

export async function act(world: World, intent: Intent): Promise<void> {
  switch (intent.type) {
    case "resolve":
      world.log.append([{ type: "decided", data: intent.decision }]);
      return;
    case "recovered": {
      const { fault, recoverSeconds, lostSteps } = intent;
      world.log.append([{ type: "recovered", data: { fault, recoverSeconds, lostSteps } }]);
      return;
    }
    case "end-attempt":
      return endAttempt(world, intent);
    case "choose-checkpoint":
      return chooseCheckpoint(world, intent);
    case "launch":
      return launch(world, intent);
    case "finish":
      return finish(world, intent);
    case "fail":
      return fail(world, intent);
    default:
      return intent satisfies never;
  }
}

/** Stops whatever lives of the attempt, reads what it said last, closes it. */
export async function endAttempt(world: World, { outcome, why }: Of<"end-attempt">): Promise<void> {
  const { log, launcher, policy } = world;
  const { epoch, attempt } = log.state();
  if (outcome === "completed") await leaveByThemselves(world, epoch);
  if (attempt?.status !== "stopping") log.append([{ type: "stop-intended", data: { why } }]);
  await launcher.stop(epoch, policy.failover.stopGraceSeconds);
  await takeIn(world, launcher.observe(epoch));
  log.append([{ type: "attempt-ended", data: { outcome, why } }]);
}

/** All facts of a look, in as many pieces as it takes. */
async function takeIn({ log, clock, policy }: World, seen: Observation): Promise<void> {
  let left: Observation | undefined = seen;
  while (left !== undefined) {
    const { now, later } = inParts(left);
    log.append(facts(now, log.state(), policy));
    left = later;
    if (left !== undefined) await clock.wait(0);
  }
}

/** After the last step workers end by themselves; only what does not is stopped. */
async function leaveByThemselves(world: World, epoch: number): Promise<void> {
  const { launcher, clock, policy } = world;
  const until = clock.monotonicSeconds() + policy.failover.stopGraceSeconds;
  while (clock.monotonicSeconds() < until) {
    const seen = launcher.observe(epoch);
    await takeIn(world, seen);
    if (seen.agent === "gone") return;
    await clock.wait(0.02);
  }
}

async function chooseCheckpoint(world: World, intent: Of<"choose-checkpoint">): Promise<void> {
  const { log } = world;
  // Asked before anything is set aside: when nothing older is left, rather the distrusted steps than none.
  const older = intent.beforeStep === null ? undefined : (await world.tiers.newest(intent.beforeStep)).newest;
  let found = await setAside(world, older === undefined ? null : intent.beforeStep, intent.distrusted);
  if (found !== undefined && intent.carry) found = await carry(world, found);
  log.append([{ type: "resume-chosen", data: { checkpoint: found ?? null } }]);
}

/** The newest usable checkpoint; what is newer and does not verify is quarantined and told as a fault. */
async function setAside(
  { log, tiers }: Pick<World, "log" | "tiers">,
  beforeStep: number | null,
  distrusted: string | null,
): Promise<CheckpointRef | undefined> {
  const { newest, rejected } = await tiers.newest(beforeStep);
  for (const { checkpoint, why } of rejected) {
    const to = await tiers.quarantine(checkpoint, why);
    log.append([{ type: "checkpoint-quarantined", data: { checkpoint, to, why } }]);
    const unwanted = beforeStep !== null && checkpoint.step >= beforeStep;
    if (!unwanted) log.append([corruption(log.state().faults.length, checkpoint, why)]);
  }
  if (newest === undefined || newest.path !== distrusted) return newest;
  const why = "a worker could not load it";
  const to = await tiers.quarantine(newest, why);
  log.append([{ type: "checkpoint-quarantined", data: { checkpoint: newest, to, why } }]);
  return setAside({ log, tiers }, beforeStep, null);
}

/** Mended on the spot, by taking the one before it. */
function corruption(id: number, checkpoint: CheckpointRef, why: string): EventDraft {
  const { category, scope } = faultFacts["corrupt-checkpoint"];
  return {
    type: "fault-detected",
    data: {
      ...{ id, kind: "corrupt-checkpoint", category, scope, advice: "retry", rank: null, peer: null, node: null },
      root: `corrupt-checkpoint ${checkpoint.tier}`,
      step: checkpoint.step,
      detectedBy: "checkpoint",
      detectSeconds: null,
      retried: true,
      recoverSeconds: 0,
      why: `the ${checkpoint.tier} checkpoint of step ${checkpoint.step} does not verify; the one before it is used`,
      evidence: [`${checkpoint.path}: ${why}`.slice(0, 2000)],
      source: null,
    },
  };
}

/** To disk, so that it outlives this host's memory; with a full disk the one in memory has to do. */
export async function carry({ log, tiers }: World, checkpoint: CheckpointRef): Promise<CheckpointRef> {
  if (checkpoint.tier === "disk") return checkpoint;
  try {
    const promoted = await tiers.promote(checkpoint);
    // Spoilt since it was verified a moment ago: whoever loads it will say so, and then it is set aside.
    if (promoted === undefined) return checkpoint;
    log.append([{ type: "checkpoint-promoted", data: { from: checkpoint.path, checkpoint: promoted } }]);
    return promoted;
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return checkpoint;
  }
}

async function launch(world: World, { pool, nodes, resume, why }: Of<"launch">): Promise<void> {
  const { log, launcher, policy } = world;
  world.checkLease();
  log.append([{ type: "launch-intended", data: { pool, nodes: [...nodes], resume, why } }]);
  const { epoch } = log.state();
  world.raiseEpoch(epoch);
  const { stopGraceSeconds: graceSeconds } = policy.failover;
  const order = { epoch, nodes, graceSeconds };
  try {
    const { agent } = await launcher.launch(
      world.program === undefined
        ? { ...order, spec: world.workerSpec(log.state()) }
        : { ...order, program: world.program(log.state()) },
    );
    log.append([{ type: "launched", data: { agent, adopted: false } }]);
  } catch (error) {
    if (!(error instanceof LaunchFailed)) throw error;
    const { category, scope, advice } = faultFacts["launch-failed"];
    const { faults, step } = log.state();
    const data: EventData["fault-detected"] = {
      ...{ id: faults.length, kind: "launch-failed", category, scope, advice, rank: null, peer: null, node: null },
      ...{ root: `launch-failed ${pool}`, step: step + 1, detectedBy: "launch", detectSeconds: 0, retried: false },
      ...{ recoverSeconds: null, why: error.message.slice(0, 2000), evidence: [], source: null },
    };
    log.append([{ type: "fault-detected", data }]);
  }
}

/** Verifies the last checkpoint and what it holds; what does not verify is trained again from the one before. */
async function finish(world: World, { step }: Of<"finish">): Promise<void> {
  const { log, tiers } = world;
  const { completed } = log.state().attempt ?? {};
  if (!log.state().finishIntended) log.append([{ type: "finish-intended", data: { step } }]);
  let found = await setAside(world, null, null);
  if (world.policy.program !== undefined) {
    // Whether and when a program saves is its own affair.
    const finalLoss = completed?.loss ?? log.state().loss;
    log.append([{ type: "run-finished", data: { checkpoint: found ?? null, finalLoss, weightsSha256: null } }]);
    return;
  }
  if (found?.step === step) {
    found = await carry(world, found);
    const weightsSha256 = await tiers.weightsSha256(found);
    if (completed?.weightsSha256 == null || completed.weightsSha256 === weightsSha256) {
      const finalLoss = completed?.loss ?? log.state().loss;
      log.append([{ type: "run-finished", data: { checkpoint: found, finalLoss, weightsSha256 } }]);
      tiers.clearMemory();
      return;
    }
    const why = `holds weights ${weightsSha256}, rank 0 had ${completed.weightsSha256}`;
    const to = await tiers.quarantine(found, why);
    log.append([{ type: "checkpoint-quarantined", data: { checkpoint: found, to, why } }]);
    log.append([corruption(log.state().faults.length, found, why)]);
  }
  log.append([{ type: "finish-refused", data: { step, why: "the last step's checkpoint does not verify" } }]);
}

async function fail(world: World, { reasons }: Of<"fail">): Promise<void> {
  const { log, tiers } = world;
  // The newest state goes to disk first: a person who mends the cause loses nothing but time.
  const { newest } = await tiers.newest(null);
  const kept = newest === undefined ? null : await carry(world, newest);
  log.append([{ type: "run-failed", data: { reasons: reasons.slice(0, 100), checkpoint: kept } }]);
  if (kept === null || kept.tier === "disk") tiers.clearMemory();
}
