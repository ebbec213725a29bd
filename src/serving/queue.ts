/**
 * Lets requests through in order of arrival, a few at a time, and turns away those that would wait too long a line.
 * Knows: places and who waits. Does not know: what a request does with its place.
 */

export interface Queue {
  /** Resolves to a function that gives the place back; undefined when the line is full; rejects when `signal` aborts. */
  enter(signal: AbortSignal): Promise<(() => void) | undefined>;
  readonly running: number;
  readonly waiting: number;
}

export function createQueue({ places, waitingMax }: { places: number; waitingMax: number }): Queue {
  let running = 0;
  const line: { start: () => void }[] = [];
  const leave = (): void => {
    running--;
    line.shift()?.start();
  };
  /** A place is given back once, however often its holder says so. */
  const take = (): (() => void) => {
    running++;
    let held = true;
    return () => {
      if (held) leave();
      held = false;
    };
  };
  return {
    get running() {
      return running;
    },
    get waiting() {
      return line.length;
    },
    async enter(signal) {
      signal.throwIfAborted();
      if (running < places) return take();
      if (line.length >= waitingMax) return undefined;
      return new Promise((resolve, reject) => {
        const abandon = (): void => {
          line.splice(line.indexOf(entry), 1);
          reject(signal.reason);
        };
        const entry = {
          start: () => {
            signal.removeEventListener("abort", abandon);
            resolve(take());
          },
        };
        line.push(entry);
        signal.addEventListener("abort", abandon, { once: true });
      });
    },
  };
}
