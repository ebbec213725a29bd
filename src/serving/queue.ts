/**
 * Lets requests through a few at a time, client after client in turn, and turns away those that would make the line too long.
 * Knows: places, who waits, whose turn it is. Does not know: what a request does with its place.
 */

export interface Queue {
  /** Resolves to a function that gives the place back; undefined when the line is full; rejects when `signal` aborts. */
  enter(signal: AbortSignal, client?: string): Promise<(() => void) | undefined>;
  readonly running: number;
  readonly waiting: number;
}

interface Entry {
  readonly start: () => void;
}

export function createQueue({ places, waitingMax }: { places: number; waitingMax: number }): Queue {
  let running = 0;
  let waiting = 0;
  /** Each client's requests in order of arrival; the client whose turn it is first. No client has an empty line. */
  const lines = new Map<string, Entry[]>();
  const shiftNext = (): Entry | undefined => {
    const [turn] = lines;
    if (!turn) return undefined;
    const [client, line] = turn;
    const entry = line.shift();
    lines.delete(client);
    if (line.length > 0) lines.set(client, line);
    waiting--;
    return entry;
  };
  const remove = (client: string, entry: Entry): void => {
    const line = lines.get(client) ?? [];
    const at = line.indexOf(entry);
    if (at < 0) return;
    line.splice(at, 1);
    waiting--;
    if (line.length === 0) lines.delete(client);
  };
  const leave = (): void => {
    running--;
    shiftNext()?.start();
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
      return waiting;
    },
    async enter(signal, client = "") {
      signal.throwIfAborted();
      if (running < places) return take();
      if (waiting >= waitingMax) return undefined;
      return new Promise((resolve, reject) => {
        const abandon = (): void => {
          remove(client, entry);
          reject(signal.reason);
        };
        const entry: Entry = {
          start: () => {
            signal.removeEventListener("abort", abandon);
            resolve(take());
          },
        };
        lines.set(client, [...(lines.get(client) ?? []), entry]);
        waiting++;
        signal.addEventListener("abort", abandon, { once: true });
      });
    },
  };
}
