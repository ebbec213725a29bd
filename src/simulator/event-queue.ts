/**
 * Pending events of one simulated run in one total order: earlier time first, and of equal times the one scheduled first.
 * Knows: times, sequence numbers and slots. Does not know: what an event means.
 *
 * A slot holds the single pending event of its kind (the next fault, the end of the run). Slot 0 is the frequent one: it is
 * held apart, and the earliest of the others is remembered until one of them changes, so a fault costs one comparison. A
 * heap cannot move an entry cheaply, and a scan of all slots was two fifths of a run.
 */
export class EventQueue {
  /** Seconds and slot of the event that `next` found. */
  time = 0;
  slot = 0;
  private sequence = 0;
  private frequentTime = Number.POSITIVE_INFINITY;
  private frequentSequence = 0;
  private readonly times: Float64Array;
  private readonly sequences: Float64Array;
  /** The earliest slot but 0, and its time, unless `stale`. */
  private rareSlot = 1;
  private rareTime = Number.POSITIVE_INFINITY;
  private stale = false;

  constructor(slots: number) {
    this.times = new Float64Array(slots).fill(Number.POSITIVE_INFINITY);
    this.sequences = new Float64Array(slots);
  }

  /** Puts the slot's only event at `time` (seconds; Infinity takes it off). */
  schedule(slot: number, time: number): void {
    if (slot === 0) {
      this.frequentTime = time;
      this.frequentSequence = this.sequence++;
      return;
    }
    const { times } = this;
    if (time === Number.POSITIVE_INFINITY && times[slot] === Number.POSITIVE_INFINITY) return;
    times[slot] = time;
    this.sequences[slot] = this.sequence++;
    if (slot === this.rareSlot) this.stale = true;
    else if (time < this.rareTime) {
      this.rareSlot = slot;
      this.rareTime = time;
    }
  }

  /** Seconds at which the slot's event is due; Infinity when it has none. */
  dueAt(slot: number): number {
    return slot === 0 ? this.frequentTime : this.times[slot]!;
  }

  /** Takes the next event off and leaves it in `time` and `slot`; false when nothing is pending. */
  next(): boolean {
    if (this.stale) this.findRare();
    const time = this.frequentTime;
    if (time < this.rareTime || (time === this.rareTime && this.frequentSequence < this.sequences[this.rareSlot]!)) {
      this.time = time;
      this.slot = 0;
      this.frequentTime = Number.POSITIVE_INFINITY;
      return time !== Number.POSITIVE_INFINITY;
    }
    this.time = this.rareTime;
    this.slot = this.rareSlot;
    this.times[this.rareSlot] = Number.POSITIVE_INFINITY;
    this.stale = true;
    return this.time !== Number.POSITIVE_INFINITY;
  }

  /** Takes everything off and starts the numbering again, so that one queue serves many replicas. */
  clear(): void {
    this.sequence = 0;
    this.frequentTime = Number.POSITIVE_INFINITY;
    this.times.fill(Number.POSITIVE_INFINITY);
    this.stale = true;
  }

  private findRare(): void {
    const { times, sequences } = this;
    let slot = 1;
    let time = times[1]!;
    for (let i = 2; i < times.length; i++) {
      const candidate = times[i]!;
      if (candidate < time || (candidate === time && sequences[i]! < sequences[slot]!)) {
        time = candidate;
        slot = i;
      }
    }
    this.rareSlot = slot;
    this.rareTime = time;
    this.stale = false;
  }
}
