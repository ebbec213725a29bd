/**
 * Seconds that a collective takes on a two-level network: a scale-up domain and a scale-out fabric.
 * Knows: ring volumes, bandwidth that grows with message size, rails. Does not know: what is sent, or what hides it.
 */
import type { Constants } from "./constants.ts";
import type { Hardware } from "./hardware.ts";

/** Which ranks take part: `size` ranks, `perDomain` of which share a scale-up domain. */
export interface Group {
  readonly size: number;
  readonly perDomain: number;
}

/**
 * Ranks of a parallel dimension of `size` when `stride` ranks of inner dimensions lie between neighbours.
 * Megatron orders tp, cp, ep/dp, pp from inner to outer.
 */
export function groupOf(hardware: Hardware, size: number, stride: number): Group {
  const room = Math.max(1, Math.floor(hardware.domainDevices / Math.max(1, stride)));
  return { size, perDomain: Math.min(size, room) };
}

/**
 * One-way bytes/s that a ring over `group` sustains at message size `bytes`: within a domain the link, across domains the
 * lesser of the link and as many rails as the domain has ranks of the group; B(V) = B∞ · V / (V + V½)
 * (NCCL's bus bandwidth, github.com/NVIDIA/nccl-tests doc/PERFORMANCE.md).
 */
export function busBytesPerSecond(hardware: Hardware, c: Constants, group: Group, bytes: number): number {
  const intra = hardware.intraBytesPerSecond * c["link.intra"];
  const rails = group.perDomain * hardware.interBytesPerSecond * c["link.inter"];
  const wide = group.size > group.perDomain ? Math.min(intra, rails) : intra;
  return (wide * bytes) / (bytes + c["link.half"]);
}

/** Seconds of a ring all-reduce of `bytes` per rank: 2(n−1)/n of them pass each link. 0 for one rank. */
export function allReduceSeconds(hardware: Hardware, c: Constants, group: Group, bytes: number): number {
  if (group.size <= 1 || bytes <= 0) return 0;
  return (2 * ((group.size - 1) / group.size) * bytes) / busBytesPerSecond(hardware, c, group, bytes);
}

/** Seconds of an all-gather (or reduce-scatter) whose gathered size is `bytes`: (n−1)/n of them pass each link. */
export function allGatherSeconds(hardware: Hardware, c: Constants, group: Group, bytes: number): number {
  return allReduceSeconds(hardware, c, group, bytes) / 2;
}

/**
 * Seconds of an all-to-all in which each rank sends `bytes` in total, spread evenly: the share for its own domain over the
 * link, the rest over its own rail; `crossingShare` (0–1] scales the rest when a token is sent once per domain, not per expert.
 */
export function allToAllSeconds(
  hardware: Hardware,
  c: Constants,
  group: Group,
  bytes: number,
  crossingShare: number,
): number {
  if (group.size <= 1 || bytes <= 0) return 0;
  const inside = (group.perDomain - 1) / group.size;
  const outside = (group.size - group.perDomain) / group.size;
  const saturation = bytes / (bytes + c["link.half"]);
  const intra = (bytes * inside) / (hardware.intraBytesPerSecond * c["link.intra"] * saturation);
  const inter =
    (bytes * outside * crossingShare) /
    (hardware.interBytesPerSecond * c["link.inter"] * c["link.scatter"] * saturation);
  return Math.max(intra, inter);
}
