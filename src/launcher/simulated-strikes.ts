/**
 * What strikes a simulated attempt in a step: the faults of its run file and the mishaps of its cluster.
 * Knows: what each does to ranks, links and storage. Does not know: what a step is, what the supervisor makes of it.
 */
import type { InjectedFault } from "../spec/emulation.ts";
import { publish } from "./simulated-cluster.ts";
import type { Mishap } from "./simulated-mishap.ts";
import {
  type Context,
  enter,
  exit,
  killAgent,
  noticeLink,
  othersNotice,
  type Rank,
  say,
  setStatus,
} from "./simulated-ranks.ts";

export function strikes(context: Context, step: number, computed: number): void {
  const { order, dice, cluster } = context;
  order.spec.emulate.faults.forEach((fault, index) => {
    const id = `${order.spec.pool}/${index}`;
    if (fault.step !== step || (context.struck[id] ?? 0) >= fault.times || fault.rank >= context.ranks.length) return;
    const { generation } = context;
    cluster.clock.schedule(dice.uniform() * computed * 0.9, () => {
      const rank = context.ranks[fault.rank];
      if (context.generation !== generation || context.step !== step - 1 || rank?.status !== "running") return;
      context.struck[id] = (context.struck[id] ?? 0) + 1;
      say(context, rank, { ev: "injected", fault: id, kind: fault.kind, step });
      strike(context, rank, fault, step);
    });
  });
}

function strike(context: Context, rank: Rank, fault: InjectedFault, step: number): void {
  const mended = (kind: "nan" | "corrupt-gradient", peer?: number): void =>
    say(context, rank, {
      ev: "fault",
      kind,
      step,
      detail: "injected",
      retried: true,
      detectSeconds: 0.01,
      recoverSeconds: 0.1,
      ...(peer === undefined ? {} : { peer }),
    });
  switch (fault.kind) {
    case "crash":
      exit(context, rank, { code: null, signal: "SIGKILL" });
      break;
    case "exit":
      exit(context, rank, { code: fault.code, signal: null });
      break;
    case "oom":
      rank.log.push("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory");
      exit(context, rank, { code: null, signal: "SIGABRT" });
      break;
    case "hang":
      setStatus(context, rank, "stopped");
      othersNotice(context, rank, "link-silent", context.order.spec.failover.linkSilentSeconds);
      break;
    case "linkdown":
      noticeLink(context, rank);
      break;
    case "nan":
      mended("nan");
      break;
    case "bitflip":
      if (fault.target === "gradient") mended("corrupt-gradient", rank.rank === 0 ? 1 : 0);
      else flipNewest(context);
      break;
    case "slow":
      context.slow = { rank: rank.rank, factor: fault.factor, until: step + fault.steps };
      break;
    case "linkslow":
      context.linkSlow = { rank: Math.max(1, rank.rank), share: 0.05, until: step + fault.steps };
      break;
    case "nospace":
      context.diskRefuses = "ENOSPC";
      break;
    default:
      fault.kind satisfies never;
  }
}

function flipNewest(context: Context): void {
  const newest = context.cluster.checkpoints.get(`/memory/step-${String(context.step).padStart(8, "0")}`);
  if (newest !== undefined) newest.corrupt = "a hash differs";
}

/** Lets what befalls the cluster in this step strike, at some time before the step has been computed. */
export function befall(context: Context, step: number, computed: number): void {
  const { cluster, order, dice } = context;
  const due = cluster.mishaps.filter(
    ({ pool, fired, times, ...one }) =>
      one.step === step && fired < times && (pool ?? order.spec.pool) === order.spec.pool,
  );
  if (due.length === 0) return;
  const { generation } = context;
  cluster.clock.schedule(dice.uniform() * computed * 0.9, () => {
    if (context.generation !== generation || context.step !== step - 1) return;
    // Together and in order: what is spoilt is spoilt before the rank that would read it ends.
    for (const one of due) {
      const rank = context.ranks[one.rank];
      if (rank?.status !== "running" || one.fired >= one.times) continue;
      one.fired++;
      cluster.struckAt.push(cluster.clock.monotonicSeconds());
      suffer(context, rank, one);
    }
  });
}

function suffer(context: Context, rank: Rank, one: Mishap): void {
  const { linkSilentSeconds } = context.order.spec.failover;
  switch (one.kind) {
    case "end":
      rank.log.push(...(one.lines ?? []));
      exit(context, rank, { code: one.code, signal: one.signal });
      return;
    case "stop":
      setStatus(context, rank, "stopped");
      othersNotice(context, rank, "link-silent", linkSilentSeconds);
      return;
    case "stuck":
      standStill(context, rank);
      return;
    case "unheard":
      rank.heard = false;
      context.statuses = undefined;
      context.generation++;
      othersNotice(context, rank, "link-silent", linkSilentSeconds);
      return;
    case "flap":
      flap(context, rank);
      return;
    case "spoil":
      spoil(context, one);
      return;
    case "lose-memory":
      for (const [path, { tier }] of context.cluster.checkpoints)
        if (tier === "memory") context.cluster.checkpoints.delete(path);
      return;
    case "break-node":
      context.cluster.broken.add(context.order.nodes[rank.rank] ?? "");
      exit(context, rank, { code: null, signal: "SIGKILL" });
      return;
    case "kill-saving":
      context.killSaving = true;
      return;
    case "disk-refuses":
      context.diskRefuses = one.detail;
      return;
    case "all-slow":
      context.slowness = one.factor;
      return;
    case "spike":
      context.spike = one.factor;
      return;
    case "agent-dies":
      killAgent(context);
      return;
    case "words":
      rank.log.push(...one.lines);
      return;
    case "zombie":
      haunt(context);
      exit(context, rank, { code: null, signal: "SIGKILL" });
      return;
    default:
      one satisfies never;
  }
}

/** The step under way never ends; every other rank waits for this one, and all heartbeats go on. */
function standStill(context: Context, rank: Rank): void {
  context.generation++;
  enter(context, rank, "compute");
  for (const other of context.ranks) if (other !== rank) enter(context, other, "reduce", rank.rank);
}

function flap(context: Context, rank: Rank): void {
  const peer = context.ranks[rank.rank === 0 ? 1 : 0];
  const step = context.step + 1;
  const mended = { kind: "link-down", step, detail: "reset, connected again", retried: true } as const;
  const seconds = { detectSeconds: 0.01, recoverSeconds: 0.2 };
  if (peer !== undefined) say(context, rank, { ev: "fault", peer: peer.rank, ...mended, ...seconds });
}

function spoil({ cluster }: Context, { which, why }: Extract<Mishap, { kind: "spoil" }>): void {
  const stored = [...cluster.checkpoints.values()].sort((a, b) => b.step - a.step);
  const tiers = new Set(stored.map(({ tier }) => tier));
  const newest = [...tiers].flatMap((tier) => stored.find((one) => one.tier === tier) ?? []);
  const spoilt = { newest: stored.slice(0, 1), "newest-of-each-tier": newest, all: stored }[which];
  for (const one of spoilt) one.corrupt = why;
}

/** Publishes weights of its own whenever it can, as long as it can be told from the attempt that is trained. */
function haunt({ cluster, order, step }: Context): void {
  const again = (left: number): void => {
    if (cluster.epoch > order.epoch)
      publish(cluster, order.epoch, { step: step + 1, tier: "memory", weights: "haunted" });
    if (left > 0) cluster.clock.schedule(0.5, () => again(left - 1));
  };
  again(20);
}
