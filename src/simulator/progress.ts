/**
 * How far a simulated run has come: work done, work that a checkpoint holds, and position in the checkpoint cycle.
 * Knows: the cycle of productive interval and stall, durable snapshots. Does not know: faults, nodes, random numbers.
 *
 * Advancing over any stretch of time at constant speed is O(1), however many checkpoints lie in it: this is what makes a
 * year of 50,000 devices cheap. Work is in seconds on the first pool at full speed.
 */
export class Progress {
  /** Work done, and work that would survive a fault now. */
  work = 0;
  durable = 0;
  /** Wall seconds spent computing and standing still for checkpoints, the lost ones included. */
  computeSeconds = 0;
  stallSeconds = 0;
  private snapshot = 0;
  private snapshotAt = Number.NEGATIVE_INFINITY;
  /** Wall seconds since the last snapshot was complete: in [0, interval) computing, in [interval, cycle) stalled. */
  private position = 0;
  interval = 1;
  stall = 0;
  persist = 0;

  reset(): void {
    this.work = 0;
    this.durable = 0;
    this.computeSeconds = 0;
    this.stallSeconds = 0;
    this.forget();
  }

  /** Runs from wall second `from` to `to` at `speed` (work per second). */
  advance(from: number, to: number, speed: number): void {
    const { interval, persist } = this;
    const cycle = interval + this.stall;
    const start = this.position;
    const end = start + (to - from);
    const ended = Math.floor(end / cycle);
    const toSnapshot = start < interval ? interval - start : 0;
    if (ended === 0) {
      const compute = Math.min(end, interval) - Math.min(start, interval);
      this.work += compute * speed;
      this.computeSeconds += compute;
      this.stallSeconds += to - from - compute;
      this.position = end;
    } else {
      const position = end - ended * cycle;
      const compute = toSnapshot + (ended - 1) * interval + Math.min(position, interval);
      const before = this.work;
      this.work += compute * speed;
      this.computeSeconds += compute;
      this.stallSeconds += to - from - compute;
      this.position = position;
      // The interval is never shorter than the write, so of several snapshots all but the last are durable.
      this.durable = ended === 1 ? this.snapshot : before + (toSnapshot + (ended - 2) * interval) * speed;
      this.snapshot = before + (toSnapshot + (ended - 1) * interval) * speed;
      this.snapshotAt = to - position;
    }
    if (this.snapshotAt + persist <= to) this.durable = this.snapshot;
  }

  /** Wall seconds until `total` work is done and its last snapshot taken, without faults. */
  secondsUntil(total: number, speed: number): number {
    const compute = Math.max(0, total - this.work) / speed;
    const { interval, stall, position } = this;
    if (position <= interval) return compute + snapshotsFor(compute + position, interval) * stall;
    const rest = interval + stall - position;
    return compute === 0 ? rest : rest + compute + snapshotsFor(compute, interval) * stall;
  }

  /** Falls back to what is durable; returns the work lost. */
  rollBack(): number {
    const lost = this.work - this.durable;
    this.work = this.durable;
    this.forget();
    return lost;
  }

  /** Saves everything at once, as a planned stop does. */
  save(): void {
    this.durable = this.work;
    this.forget();
  }

  private forget(): void {
    this.snapshot = this.durable;
    this.snapshotAt = Number.NEGATIVE_INFINITY;
    this.position = 0;
  }
}

/** Snapshots while computing for `compute` seconds from the start of a cycle, the final one included; tolerates rounding. */
function snapshotsFor(compute: number, interval: number): number {
  return Math.max(1, Math.ceil(compute / interval - 1e-9));
}
