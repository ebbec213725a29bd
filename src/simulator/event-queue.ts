/**
 * Pending events of one simulated run in one total order: earlier time first, and of equal times the one scheduled first.
 * Knows: times, sequence numbers and slots. Does not know: what an event means.
 *
 * A slot holds the single pending event of its kind (the next fault, the end of the run). There are few kinds and every
 * fault reschedules some, so a scan of the slots beats a heap, which cannot move an entry cheaply.
 */
export class EventQueue {
  /** Seconds and slot of the event that `next` found. */
  time = 0;
  slot = 0;
  private sequence = 0;
  private readonly times: Float64Array;
  private readonly sequences: Float64Array;

  constructor(slots: number) {
    this.times = new Float64Array(slots).fill(Number.POSITIVE_INFINITY);
    this.sequences = new Float64Array(slots);
  }

  /** Puts the slot's only event at `time` (seconds; Infinity takes it off). */
  schedule(slot: number, time: number): void {
    this.times[slot] = time;
    this.sequences[slot] = this.sequence++;
  }

  /** Seconds at which the slot's event is due; Infinity when it has none. */
  dueAt(slot: number): number {
    return this.times[slot]!;
  }

  /** Takes the next event off and leaves it in `time` and `slot`; false when nothing is pending. */
  next(): boolean {
    const { times, sequences } = this;
    let slot = 0;
    let time = times[0]!;
    for (let i = 1; i < times.length; i++) {
      const candidate = times[i]!;
      if (candidate < time || (candidate === time && sequences[i]! < sequences[slot]!)) {
        time = candidate;
        slot = i;
      }
    }
    this.time = time;
    this.slot = slot;
    times[slot] = Number.POSITIVE_INFINITY;
    return time !== Number.POSITIVE_INFINITY;
  }

  /** Takes everything off and starts the numbering again, so that one queue serves many replicas. */
  clear(): void {
    this.sequence = 0;
    this.times.fill(Number.POSITIVE_INFINITY);
  }
}
