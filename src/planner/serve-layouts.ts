/**
 * Every legal way to put one copy of a model on a group of devices for serving, and why the others are not legal.
 * Knows: divisibility, the fast link's reach, memory. Does not know: loads, seconds, which layout is best.
 */

import { weightBytesPerDevice } from "../cost/inference-memory.ts";
import type { ServingSplit } from "../cost/inference-step.ts";
import type { Architecture } from "../spec/architecture.ts";
import { divisors, gibibyte } from "../spec/quantities.ts";
import type { ServingSystem } from "./serving-evaluate.ts";

export interface LayoutSearch {
  splits: ServingSplit[];
  /** How many layouts were rejected for which reason. */
  rejected: Record<string, number>;
  considered: number;
}

/** Groups larger than this only repeat what smaller ones show: published groups end at 384 devices. */
const groupMax = 512;

/**
 * Legal splits of groups of at most `devices`; `system` supplies memory and formats, its split is ignored.
 * Rules: attention heads divide by tp; key/value heads divide by tp or tp by them; experts fill expert ranks with at most a quarter more;
 * tp stays within the scale-up domain; weights leave room for a cache.
 */
export function servingLayouts(
  a: Architecture,
  system: ServingSystem,
  devices: number,
  workBytes: number,
): LayoutSearch {
  const rejected: Record<string, number> = {};
  const splits: ServingSplit[] = [];
  let considered = 0;
  const reject = (reason: string): void => {
    rejected[reason] = (rejected[reason] ?? 0) + 1;
  };
  const domain = Math.max(system.accelerator.intraLink.domainDevices, system.accelerator.nodeDevices);
  for (const group of groupSizes(devices)) {
    for (const attentionTp of divisors(group)) {
      for (const expertParallel of a.moe ? [false, true] : [false]) {
        considered++;
        const split: ServingSplit = { devices: group, attentionTp, expertParallel, pipeline: 1 };
        const broken = brokenRule(a, split, domain);
        if (broken) {
          reject(broken);
          continue;
        }
        const room = system.accelerator.memoryBytes * system.engine.memoryShare - workBytes;
        const weights = weightBytesPerDevice(system.shape, split, system.format);
        if (weights >= room) reject(`does not fit: ${missing(weights - room)}`);
        else splits.push(split);
      }
    }
  }
  return { splits, rejected, considered };
}

/** Copies of experts needed so that every rank holds equally many (DeepSeek-V3 decodes with 32 on 144 ranks). */
export function redundantExperts(experts: number, ranks: number): number {
  return Math.ceil(experts / ranks) * ranks - experts;
}

/** Group sizes worth trying: divisors of the whole and the powers of two below it. */
function groupSizes(devices: number): number[] {
  const sizes = new Set(divisors(devices));
  for (let size = 1; size <= devices; size *= 2) sizes.add(size);
  return [...sizes].filter((size) => size <= groupMax).sort((a, b) => a - b);
}

/** The first rule that a split breaks, or undefined. */
export function brokenRule(a: Architecture, split: ServingSplit, domain: number): string | undefined {
  const { attentionTp, devices, expertParallel } = split;
  if (a.heads % attentionTp !== 0) return "attention heads do not divide by tp";
  if (!a.mla && a.kvHeads % attentionTp !== 0 && attentionTp % a.kvHeads !== 0)
    return "key/value heads neither divide by tp nor divide it";
  if (attentionTp > domain) return "tp reaches beyond the scale-up link";
  if (!a.moe && attentionTp !== devices) return "a dense model's copies are counted as separate groups";
  if (a.moe && !expertParallel && attentionTp !== devices)
    return "data-parallel attention needs expert parallelism to share the experts";
  if (a.moe && expertParallel && devices === 1) return "expert parallelism needs more than one device";
  if (a.moe && expertParallel && devices > a.moe.experts) return "more expert ranks than experts";
  if (a.moe && expertParallel && redundantExperts(a.moe.experts, devices) > a.moe.experts / 4)
    return "experts fill the ranks only with more than a quarter of redundant ones";
  if (a.moe && !expertParallel && (a.moe.expertFfn / attentionTp) % 16 !== 0)
    return "an expert's slice is not a multiple of 16 columns";
  return undefined;
}

function missing(bytes: number): string {
  const gib = bytes / gibibyte;
  const grade = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512].find((g) => gib <= g);
  return grade ? `up to ${grade} GiB too much on a device` : "more than 512 GiB too much on a device";
}
