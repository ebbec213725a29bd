/**
 * The fixed binary tree along which the micro-batches of a global batch are summed, and which worker sums which part.
 * Knows: numbers of micro-batches and workers. Does not know: tensors, links. The sum's bits depend on the tree alone: every
 * worker count adds the same pairs in the same order.
 */

/** Leaves `begin` to `end` (exclusive) under one node. */
export interface TreeNode {
  readonly begin: number;
  readonly end: number;
}

/** Where a node of `leaves` ≥ 2 leaves divides: the largest power of two below it (the Merkle tree's rule, RFC 6962 §2.1). */
export function leftLeaves(leaves: number): number {
  let left = 1;
  while (left * 2 < leaves) left *= 2;
  return left;
}

function children({ begin, end }: TreeNode): readonly [TreeNode, TreeNode] {
  const middle = begin + leftLeaves(end - begin);
  return [
    { begin, end: middle },
    { begin: middle, end },
  ];
}

/**
 * The node that each of `workers` sums, by rank, from left to right: the root is split, always the node with most leaves
 * and of equals the leftmost, until there is one for each. RangeError where there are more workers than leaves.
 */
export function workerNodes({ leaves, workers }: { leaves: number; workers: number }): readonly TreeNode[] {
  if (!Number.isInteger(leaves) || !Number.isInteger(workers) || workers < 1 || leaves < workers) {
    throw new RangeError(`${workers} workers for ${leaves} micro-batches`);
  }
  const nodes: TreeNode[] = [{ begin: 0, end: leaves }];
  while (nodes.length < workers) {
    let largest = 0;
    nodes.forEach((node, index) => {
      const best = nodes[largest]!;
      if (node.end - node.begin > best.end - best.begin) largest = index;
    });
    nodes.splice(largest, 1, ...children(nodes[largest]!));
  }
  return nodes;
}

/** One action of a depth-first sum with one accumulator per level. */
export type SumAction =
  | { readonly do: "compute"; readonly leaf: number; readonly level: number }
  /** Accumulator `level` += accumulator `level + 1`. */
  | { readonly do: "add"; readonly level: number };

/** How a worker sums its node: leaves in order, each into the accumulator of its level; the sum ends up in level 0. */
export function sumActions(node: TreeNode, level = 0): readonly SumAction[] {
  if (node.end - node.begin === 1) return [{ do: "compute", leaf: node.begin, level }];
  const [left, right] = children(node);
  return [...sumActions(left, level), ...sumActions(right, level + 1), { do: "add", level }];
}

/** Accumulators that `sumActions` of a node of `leaves` leaves needs. */
export function sumLevels(leaves: number): number {
  if (leaves <= 1) return 1;
  const left = leftLeaves(leaves);
  return Math.max(sumLevels(left), 1 + sumLevels(leaves - left));
}

/** The additions by which rank 0 completes the tree over the workers' sums, in order; the whole ends up with rank 0. */
export function completion(nodes: readonly TreeNode[]): readonly { into: number; from: number }[] {
  const additions: { into: number; from: number }[] = [];
  const complete = (node: TreeNode): number => {
    const rank = nodes.findIndex(({ begin, end }) => begin === node.begin && end === node.end);
    if (rank !== -1) return rank;
    const [left, right] = children(node);
    const into = complete(left);
    additions.push({ into, from: complete(right) });
    return into;
  };
  complete({ begin: 0, end: nodes.at(-1)?.end ?? 0 });
  return additions;
}
