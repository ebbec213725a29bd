/**
 * How many micro-batches of a step each rank computes; a rank with more work must not be taken for a slow one.
 * Knows: the fixed binary tree's rule (split at the largest power of two below n; give the node with most leaves away first).
 * Does not know: how sums travel (engine).
 */

/** Micro-batches of each rank, in rank order; `ranks` from 1 to `microBatches`. */
export function microBatchShares({ microBatches, ranks }: { microBatches: number; ranks: number }): number[] {
  const shares = [microBatches];
  while (shares.length < ranks) {
    const most = shares.indexOf(Math.max(...shares));
    const leaves = shares[most] ?? 1;
    if (leaves < 2) break;
    const left = 2 ** Math.ceil(Math.log2(leaves) - 1);
    shares.splice(most, 1, left, leaves - left);
  }
  return shares;
}
