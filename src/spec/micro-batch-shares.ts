/**
 * How many micro-batches of a step each rank computes; a rank with more work must not be taken for a slow one.
 * Knows: the fixed binary tree's rule (split at the largest power of two below n; give the node with most leaves away first).
 * Does not know: how sums travel (engine).
 */

/** Micro-batches of each rank, in rank order; `ranks` from 1 to `microBatches`. */
export function microBatchShares({ microBatches, ranks }: { microBatches: number; ranks: number }): number[] {
  let shares = [microBatches];
  while (shares.length < ranks) {
    // All that share the most leaves are split in one pass from the left, as one after the other would be.
    let most = 0;
    for (const leaves of shares) most = Math.max(most, leaves);
    if (most < 2) break;
    const left = 2 ** Math.ceil(Math.log2(most) - 1);
    let missing = ranks - shares.length;
    shares = shares.flatMap((leaves) => {
      if (leaves !== most || missing === 0) return [leaves];
      missing--;
      return [left, most - left];
    });
  }
  return shares;
}
