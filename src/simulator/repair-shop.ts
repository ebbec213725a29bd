/**
 * Failed nodes, the crews that repair them first come first served, and the spares that stand in meanwhile.
 * Knows: when each repair ends, spare counts. Does not know: the run, why a node failed.
 *
 * With a fixed order of service a repair's end is known when the node comes in, so nothing needs an event of its own
 * until somebody waits: ended repairs are counted when the spares seem to have run out.
 */
export class RepairShop {
  private spares = 0;
  private ends = new Float64Array(64);
  private inRepair = 0;
  /** While all crews are busy: when each is free, as a binary heap with the earliest on top. */
  private crews = new Float64Array(0);
  private allBusy = false;
  private unlimitedSpares = true;

  /** Starts over with `spares` (undefined: always enough) and `crews` (undefined: as many as nodes come in). */
  reset(spares: number | undefined, crews: number | undefined): void {
    this.unlimitedSpares = spares === undefined;
    this.spares = spares ?? 0;
    this.inRepair = 0;
    this.allBusy = false;
    if (this.crews.length !== (crews ?? 0)) this.crews = new Float64Array(crews ?? 0);
  }

  /** Whether a spare takes a failed node's place at second `now`; then there is one less. */
  takeSpare(now: number): boolean {
    if (this.unlimitedSpares) return true;
    if (this.spares === 0) this.countEnded(now);
    if (this.spares === 0) return false;
    this.spares--;
    return true;
  }

  /** Whether the shop need be told of failed nodes at all. */
  get matters(): boolean {
    return !this.unlimitedSpares;
  }

  /** Takes in a failed node at second `now`; its repair takes `seconds` once a crew is free. */
  takeIn(now: number, seconds: number): void {
    if (this.inRepair === this.ends.length) this.countEnded(now);
    if (this.inRepair === this.ends.length) {
      const grown = new Float64Array(this.ends.length * 2);
      grown.set(this.ends);
      this.ends = grown;
    }
    const end = this.waitsForCrew(now) ? this.engageCrew(seconds) : now + seconds;
    this.ends[this.inRepair++] = end;
  }

  /** The earliest end of a repair under way; Infinity without one. */
  nextEnd(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.inRepair; i++) if (this.ends[i]! < earliest) earliest = this.ends[i]!;
    return earliest;
  }

  private countEnded(now: number): void {
    let kept = 0;
    for (let i = 0; i < this.inRepair; i++) {
      if (this.ends[i]! > now) this.ends[kept++] = this.ends[i]!;
    }
    this.spares += this.inRepair - kept;
    this.inRepair = kept;
  }

  /** Whether every crew is busy at second `now`; only then is it kept who is free when. */
  private waitsForCrew(now: number): boolean {
    const { crews } = this;
    if (crews.length === 0) return false;
    if (this.allBusy) {
      this.allBusy = crews[0]! > now;
      return this.allBusy;
    }
    if (this.inRepair >= crews.length) this.countEnded(now);
    if (this.inRepair < crews.length) return false;
    // One node came in at a time, so there are now exactly as many as crews; ascending order is a heap.
    crews.set(this.ends.subarray(0, crews.length));
    crews.sort();
    this.allBusy = true;
    return true;
  }

  /** End of a repair by the crew that is free first. */
  private engageCrew(seconds: number): number {
    const { crews } = this;
    const end = crews[0]! + seconds;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= crews.length) break;
      if (child + 1 < crews.length && crews[child + 1]! < crews[child]!) child++;
      if (crews[child]! >= end) break;
      crews[at] = crews[child]!;
      at = child;
    }
    crews[at] = end;
    return end;
  }
}
