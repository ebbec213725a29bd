/**
 * What a run may do about faults: the failover block of its run file and the pools that it has.
 * Knows: nodes and spares by name. Does not know: what has happened.
 */
import { type Failover, isProgramRun, type PoolSpec, poolOrder, type RunFile } from "../spec/run-file.ts";

export interface Policy {
  readonly failover: Failover;
  /** In the order in which they may be used. */
  readonly pools: readonly PoolSpec[];
  /** 0: a program that ends when it is done. */
  readonly steps: number;
  readonly microBatches: number;
  /** Set for somebody's own program; absent for the embedded engine. */
  readonly program?: { readonly workersPerNode: number; readonly saysSteps: boolean };
}

export function policyOf(file: RunFile): Policy {
  const base = { failover: file.failover, pools: poolOrder(file) };
  if (isProgramRun(file)) {
    const { steps = 0, workersPerNode, adapter } = file.program;
    return { ...base, steps, microBatches: 1, program: { workersPerNode, saysSteps: adapter !== "plain" } };
  }
  if (file.train === undefined) throw new RangeError(`${file.name}: neither train nor program`);
  const { globalBatch, microBatch, steps } = file.train;
  return { ...base, steps, microBatches: globalBatch / microBatch };
}

/** All nodes of a pool: as many as it has workers and spares. A local pool's node is a name for a place on this host. */
export function nodesOf(pool: PoolSpec): string[] {
  return Array.from({ length: pool.workers + pool.spares }, (_, index) => `${pool.name}-${index}`);
}

/**
 * The node of each rank of an attempt: those of `previous` that are still good, spares for the others; undefined when there
 * are too few. `perNode` ranks in a row share a node.
 */
export function chooseNodes(
  pool: PoolSpec,
  evicted: readonly string[],
  previous: readonly string[] = [],
  perNode = 1,
): string[] | undefined {
  if (perNode > 1) {
    const before = previous.filter((_, rank) => rank % perNode === 0);
    return chooseNodes(pool, evicted, before)?.flatMap((node) => Array.from({ length: perNode }, () => node));
  }
  const bad = new Set(evicted);
  const good = nodesOf(pool).filter((node) => !bad.has(node));
  if (good.length < pool.workers) return undefined;
  const isGood = new Set(good);
  const kept = new Set(previous.filter((node) => isGood.has(node)));
  const spares = good.filter((node) => !kept.has(node)).values();
  // A node keeps its rank; only the places of evicted nodes are filled.
  const places = Array.from({ length: pool.workers }, (_, rank) => {
    const node = previous[rank];
    return node !== undefined && isGood.has(node) ? node : spares.next().value;
  });
  return places.flatMap((node) => (node === undefined ? [] : [node]));
}
