/**
 * Turns what all detectors find into faults: one per cause, echoes as its evidence, nothing on blindness.
 * Knows: detectors, precedence, how long to wait for the cause behind an echo. Does not know: what is done about a fault.
 */
import { faultFacts } from "../diagnosis/fault-facts.ts";
import { diagnoseEnds } from "../diagnosis/worker-end.ts";
import type { EventData, EventDraft, LogCause } from "../journal/event.ts";
import type { Fault, RunState } from "../journal/state.ts";
import { microBatchShares } from "../spec/micro-batch-shares.ts";
import type { FaultAction, FaultKind } from "../spec/vocabulary.ts";
import { detectEnds } from "./detect-end.ts";
import { detectLossSpike, detectSlowLinks, detectStragglers } from "./detect-numbers.ts";
import { detectSilence, silenceLimit } from "./detect-silence.ts";
import { detectWorkerFaults } from "./detect-worker.ts";
import { deviceEvidence, withDevices } from "./device-cause.ts";
import type { Finding } from "./finding.ts";
import type { Policy } from "./policy.ts";
import type { View } from "./view.ts";

/** How long a symptom of this precedence waits for a cause behind it: a link that broke waits for a rank that died. */
function settleSeconds(precedence: number): number {
  if (precedence === 9 || precedence === 10) return 0.4;
  return precedence === 6 || precedence === 7 ? 0.1 : 0;
}

/** Steps for which a slowness that was reported is not reported again. */
const slownessSteps = 32;

/** `fault-detected` drafts for the view, at most one that calls for a decision. Marks when the first symptom showed. */
export function detect(view: View, state: RunState, policy: Policy): EventDraft[] {
  const { attempt } = state;
  if (attempt === undefined || attempt.status !== "running") return [];
  if (state.undecided !== undefined || state.plan !== undefined || view.blind.length > 0) return [];
  if (isWell(view, policy)) return [];
  const known = state.faults.filter(({ epoch }) => epoch === view.epoch);
  const found = findings(view, state, policy).filter((finding) => !isReported(known, view, finding));
  const faults = distinct(
    view,
    found.filter(({ retried }) => retried),
  ).map((finding, index) => draft(view, finding, { id: state.faults.length + index, echoes: [] }));
  // What was mended on the way is told; what the ends of an attempt look like that is complete says nothing.
  if (attempt.completed !== undefined) return faults;
  const open = mostLikely(found.filter(({ retried }) => !retried));
  const cause = blamedOf(view, open);
  if (cause === undefined) return faults;
  view.symptomSeconds ??= 0;
  if (view.symptomSeconds < settleSeconds(faultFacts[cause.kind].precedence)) return faults;
  const id = state.faults.length + faults.length;
  const tolerable = cause.kind === "straggler" || cause.kind === "link-slow";
  if (tolerable) view.symptomSeconds = undefined;
  return [...faults, draft(view, cause, { id, echoes: open.filter((one) => one !== cause) })];
}

/** Nothing ended, nobody complains, the time is not up and no number is new: most looks end here. */
function isWell(view: View, { failover }: Policy): boolean {
  if (view.ended.size > 0 || view.accusing.size > 0 || view.stopped.size > 0) return false;
  if (view.agentEnded !== undefined || view.agent === "gone") return false;
  return !hasNewNumbers(view) && view.silentSeconds <= silenceLimit(view, failover);
}

/** Numbers change only with a step. */
const hasNewNumbers = (view: View): boolean => view.silentSeconds === 0 && view.firstStep;

function findings(view: View, state: RunState, policy: Policy): Finding[] {
  const { failover, microBatches } = policy;
  view.shares ??= microBatchShares({ microBatches, ranks: view.ranks.length });
  const shares = hasNewNumbers(view) ? view.shares : undefined;
  return [
    ...detectEnds(view),
    ...detectWorkerFaults(view, state),
    ...detectSilence(view, failover, policy.program?.saysSteps, state.faults),
    ...(shares !== undefined
      ? [
          ...detectLossSpike(view, state, failover),
          ...detectStragglers(view, failover, (rank) => shares[rank] ?? 1),
          ...detectSlowLinks(view, failover),
        ]
      : []),
  ];
}

/** Both ends of a link report it, and slowness goes on: one cause is one fault. */
function isReported(known: readonly Fault[], view: View, finding: Finding): boolean {
  return known.some(({ detected }) => {
    if (detected.kind !== finding.kind || detected.root !== rootOf(view, finding)) return false;
    const isSlowness = finding.kind === "straggler" || finding.kind === "link-slow";
    return isSlowness
      ? finding.step - detected.step < slownessSteps
      : finding.retried && finding.step === detected.step && finding.rank !== detected.rank;
  });
}

function distinct(view: View, found: readonly Finding[]): Finding[] {
  const byRoot = new Map<string, Finding>();
  for (const finding of found) {
    const key = `${finding.kind} ${rootOf(view, finding)} ${finding.step}`;
    const known = byRoot.get(key);
    if (known === undefined || known.rank === finding.rank)
      byRoot.set(known === undefined ? key : `${key}+${finding.source?.seq}`, finding);
  }
  return [...byRoot.values()];
}

/** More echoes than this tell nobody anything, and ten thousand that fall at once are no reason to be slow. */
const echoesMax = 256;

/** By cause, the most likely first: of very many the first, and the rest of the earliest as they came. */
function mostLikely(open: readonly Finding[]): Finding[] {
  if (open.length <= echoesMax) return [...open].sort(byCause);
  const [first, ...rest] = open;
  if (first === undefined) return [];
  const cause = rest.reduce((best, next) => (byCause(next, best) < 0 ? next : best), first);
  return [
    cause,
    ...open
      .slice(0, echoesMax)
      .filter((one) => one !== cause)
      .sort(byCause),
  ];
}

function byCause(a: Finding, b: Finding): number {
  const order = faultFacts[a.kind].precedence - faultFacts[b.kind].precedence;
  const says = Number(b.detectedBy === "worker") - Number(a.detectedBy === "worker");
  // Of equal kind: what a worker says of itself (it names the other end) before what its exit says, then the earlier.
  return order || says || (a.since ?? Infinity) - (b.since ?? Infinity) || (a.rank ?? 0) - (b.rank ?? 0);
}

function draft(view: View, finding: Finding, { id, echoes }: { id: number; echoes: readonly Finding[] }): EventDraft {
  const { kind, rank, peer, step, detectedBy, since, retried, recoverSeconds, why, evidence, source } = finding;
  const { category, scope, advice } = faultFacts[kind];
  const logged = diagnosed.has(kind) && !retried ? logCause(view) : undefined;
  const said = retried ? undefined : withDevices(view, { kind, rank }, logged);
  const onDevices = deviceEvidence(view, rank);
  const blamed = said?.action === "evict-node" ? (said.rank ?? rank) : rank;
  const data: EventData["fault-detected"] = {
    ...{ id, kind, category: said?.category ?? category, scope, rank, peer },
    advice: retried ? "retry" : adviceOf(said, advice),
    node: blamed === null ? null : (view.ranks[blamed]?.node ?? null),
    root: rootOf(view, finding),
    step,
    detectedBy,
    detectSeconds: since === null ? null : Math.max(0, view.lastObservedAt - since),
    retried,
    recoverSeconds,
    why: why.slice(0, 2000),
    evidence: [...evidence, ...onDevices, ...echoes.slice(0, 20).map((echo) => `then: ${echo.why}`)]
      .slice(0, 20)
      .map((line) => line.slice(0, 1000)),
    source,
    ...(said === undefined ? {} : { diagnosis: said }),
  };
  return { type: "fault-detected", data };
}

/** What a program's own words can explain; the embedded engine's exit codes and its links say more than its log. */
const diagnosed: ReadonlySet<FaultKind> = new Set([
  ...([
    "process-signal",
    "process-exit",
    "program-error",
    "out-of-memory",
    "no-space",
    "unsupported-operator",
  ] as const),
]);

/** The first; of several ranks that ended, the one whose log is the cause of the others' ends. */
function blamedOf(view: View, open: readonly Finding[]): Finding | undefined {
  const [first] = open;
  const ends = open.filter(({ detectedBy, kind }) => detectedBy === "exit" && diagnosed.has(kind));
  if (first === undefined || ends.length < 2 || !ends.includes(first)) return first;
  const rank = logCause(view)?.rank;
  return ends.find((one) => one.rank === rank) ?? first;
}

/** The cause in the last lines of all ranks that have ended. */
function logCause(view: View): LogCause | undefined {
  const ends = view.ranks.flatMap(({ rank, exit }) => (exit === undefined ? [] : [{ rank, end: exit }]));
  const found = diagnoseEnds(ends);
  if (found === null) return undefined;
  const { category, action, rank, evidence } = found;
  return {
    ...{ code: found.code.slice(0, 200), category, action, rank, why: found.why.slice(0, 2000) },
    evidence: evidence.slice(0, 5),
  };
}

/** A job that has to be mended is told from bad luck by failing twice (resolve-fault); dead workers need more than nothing. */
function adviceOf(said: LogCause | undefined, advice: FaultAction): FaultAction {
  if (said === undefined) return advice;
  return said.action === "none" || said.action === "retry" || said.action === "fix-job" ? "restart" : said.action;
}

function rootOf(view: View, { kind, rank, peer }: Finding): string {
  const node = rank === null ? "attempt" : (view.ranks[rank]?.node ?? "?");
  const other = peer === null ? undefined : (view.ranks[peer]?.node ?? "?");
  return `${kind} ${other === undefined ? node : [node, other].sort().join("~")}`;
}
