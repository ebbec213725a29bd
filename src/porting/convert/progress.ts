/**
 * Says how far a conversion is, how fast it goes and how long it will take.
 * Knows: bytes and the monotonic clock. Does not know: where the lines go.
 */

export interface Progress {
  add(bytes: number): void;
  /** `bytes` will be gone through once more. */
  restart(bytes: number, why: string): void;
  say(what: string): void;
}

const betweenSeconds = 10;

export function trackProgress(totalBytes: number, print: (line: string) => void = () => undefined): Progress {
  const start = performance.now();
  let done = 0;
  let total = totalBytes;
  let said = start;
  const state = (): string => {
    const seconds = (performance.now() - start) / 1000;
    const rate = done / Math.max(seconds, 1e-3);
    const left = rate > 0 ? timeLeft((total - done) / rate) : "";
    const percent = total > 0 ? Math.floor((100 * done) / total) : 100;
    return `${percent} % of ${(total / 1e9).toFixed(1)} GB, ${(rate / 1e6).toFixed(0)} MB/s${left}`;
  };
  const say = (what: string): void => {
    said = performance.now();
    print(what === "" ? state() : `${what}; ${state()}`);
  };
  return {
    add(bytes) {
      done += bytes;
      if (performance.now() - said > 1000 * betweenSeconds) say("");
    },
    restart(bytes, why) {
      total += bytes;
      say(why);
    },
    say,
  };
}

function timeLeft(seconds: number): string {
  if (seconds < 1) return "";
  if (seconds < 90) return `, ${Math.ceil(seconds)} s left`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 120 ? `, ${minutes} min left` : `, ${(minutes / 60).toFixed(1)} h left`;
}
