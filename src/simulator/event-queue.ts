/**
 * Pending events of one simulated run in one total order: earlier time first, and of equal times the one scheduled first.
 * Knows: times, sequence numbers, slots and tokens. Does not know: what an event means.
 *
 * Two kinds of entry share the order. A *slot* holds the single pending event of its kind (the next failure, the end of
 * the run) and is rescheduled in place, which a heap does badly. The *heap* holds any number of like events (repairs).
 */

/** `slot` of the events that come from the heap. */
export const HEAP = -1;

export class EventQueue {
  /** Seconds of the event that `next` found. */
  time = Number.POSITIVE_INFINITY;
  /** Its slot, or HEAP. */
  slot = HEAP;
  private sequence = 0;
  private readonly slotTimes: Float64Array;
  private readonly slotSequences: Float64Array;
  private heapTimes = new Float64Array(64);
  private heapSequences = new Float64Array(64);
  private heapSize = 0;

  constructor(slots: number) {
    this.slotTimes = new Float64Array(slots).fill(Number.POSITIVE_INFINITY);
    this.slotSequences = new Float64Array(slots);
  }

  /** Puts the slot's only event at `time` (seconds; Infinity takes it off). */
  schedule(slot: number, time: number): void {
    this.slotTimes[slot] = time;
    this.slotSequences[slot] = this.sequence++;
  }

  /** Seconds at which the slot's event is due; Infinity when it has none. */
  dueAt(slot: number): number {
    return this.slotTimes[slot] ?? Number.POSITIVE_INFINITY;
  }

  /** Adds one event to the heap. */
  push(time: number): void {
    if (this.heapSize === this.heapTimes.length) this.grow();
    const times = this.heapTimes;
    const sequences = this.heapSequences;
    const sequence = this.sequence++;
    let at = this.heapSize++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      // A new entry has the highest sequence number, so of equal times the parent stays above.
      if (times[parent]! <= time) break;
      times[at] = times[parent]!;
      sequences[at] = sequences[parent]!;
      at = parent;
    }
    times[at] = time;
    sequences[at] = sequence;
  }

  /** Takes the next event off and leaves it in `time` and `slot`; false when nothing is pending. */
  next(): boolean {
    const slotTimes = this.slotTimes;
    let slot = HEAP;
    let time = Number.POSITIVE_INFINITY;
    let sequence = Number.POSITIVE_INFINITY;
    if (this.heapSize > 0) {
      time = this.heapTimes[0]!;
      sequence = this.heapSequences[0]!;
    }
    for (let i = 0; i < slotTimes.length; i++) {
      const candidate = slotTimes[i]!;
      if (candidate < time || (candidate === time && this.slotSequences[i]! < sequence)) {
        time = candidate;
        sequence = this.slotSequences[i]!;
        slot = i;
      }
    }
    if (time === Number.POSITIVE_INFINITY) return false;
    this.time = time;
    this.slot = slot;
    if (slot === HEAP) this.removeTop();
    else slotTimes[slot] = Number.POSITIVE_INFINITY;
    return true;
  }

  /** Events in the heap. */
  get heaped(): number {
    return this.heapSize;
  }

  /** Takes everything off and starts the numbering again, so that one queue serves many replicas. */
  clear(): void {
    this.heapSize = 0;
    this.sequence = 0;
    this.slotTimes.fill(Number.POSITIVE_INFINITY);
  }

  private removeTop(): void {
    const times = this.heapTimes;
    const sequences = this.heapSequences;
    const size = --this.heapSize;
    const time = times[size]!;
    const sequence = sequences[size]!;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      const right = child + 1;
      if (right < size && earlier(times[right]!, sequences[right]!, times[child]!, sequences[child]!)) child = right;
      if (!earlier(times[child]!, sequences[child]!, time, sequence)) break;
      times[at] = times[child]!;
      sequences[at] = sequences[child]!;
      at = child;
    }
    times[at] = time;
    sequences[at] = sequence;
  }

  private grow(): void {
    const times = new Float64Array(this.heapTimes.length * 2);
    const sequences = new Float64Array(this.heapSequences.length * 2);
    times.set(this.heapTimes);
    sequences.set(this.heapSequences);
    this.heapTimes = times;
    this.heapSequences = sequences;
  }
}

function earlier(timeA: number, sequenceA: number, timeB: number, sequenceB: number): boolean {
  return timeA < timeB || (timeA === timeB && sequenceA < sequenceB);
}
