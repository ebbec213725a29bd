/**
 * Emulated pools: what a local CPU pool is told to behave like, and the faults that it is to suffer.
 * Knows: the traits and fault kinds of `run.yaml`'s `emulate`. Does not know: how a fault is brought about (engine/injector).
 */
import * as z from "zod";
import { Platform, Precision } from "./vocabulary.ts";

/** Each is real at the level where it can be: a signal, an exit, a heap run full, bytes flipped on a socket or in a file. */
export const InjectedFaultKind = z.enum([
  "crash",
  "hang",
  "exit",
  "oom",
  "nan",
  "bitflip",
  "slow",
  "linkslow",
  "linkdown",
  "nospace",
]);
export type InjectedFaultKind = z.infer<typeof InjectedFaultKind>;

export const InjectedFault = z.strictObject({
  kind: InjectedFaultKind,
  /** Step (from 1) during which it strikes; absent with `probability`, then any step may. */
  step: z.int().positive().optional(),
  /** Rank that it strikes; absent: rank 0. */
  rank: z.int().nonnegative().default(0),
  /** Chance per step (drawn from the run's seed, the fault's place in the list and the step); absent: certain at `step`. */
  probability: z.number().gt(0).max(1).optional(),
  /** How often in all it may strike, over all attempts. A re-trained step meets a fault again only while some are left. */
  times: z.int().positive().max(1000).default(1),
  /** `exit`: the exit code. */
  code: z.int().min(0).max(255).default(1),
  /** `bitflip`: a gradient on its way to another rank, or the newest stored checkpoint. */
  target: z.enum(["gradient", "checkpoint"]).default("gradient"),
  /** `slow`: the rank computes this many times slower. */
  factor: z.number().gt(1).max(1000).default(4),
  /** `linkslow`: what the link still carries. */
  bytesPerSecond: z.number().positive().default(1_000_000),
  /** `slow`, `linkslow`: how many steps it lasts. A `linkdown` breaks the connection once; the next attempt connects anew. */
  steps: z.int().positive().max(1_000_000).default(8),
});
export type InjectedFault = z.infer<typeof InjectedFault>;

export const Emulation = z.strictObject({
  /** Whose chips and toolkit the pool stands for. It computes on the CPU, and every output says so. */
  platform: Platform,
  /** Bytes per second that a link between two ranks carries; absent: as fast as loopback. */
  linkBandwidth: z.number().positive().optional(),
  /** ONNX operators that the pool refuses besides those that the platform's real toolkit does not have. */
  unsupportedOps: z.array(z.string().min(1)).default([]),
  /** Number formats that the pool's chips compute in; a run or port that asks for another is refused at launch. */
  precision: z.array(Precision).nonempty().optional(),
  faults: z.array(InjectedFault).max(1000).default([]),
});
export type Emulation = z.infer<typeof Emulation>;
