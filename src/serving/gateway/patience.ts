/**
 * A time limit that can be started anew for every token at the cost of reading the clock.
 * Knows: one timer, and that a process that stood still itself must not blame the other side. Does not know: what is waited for.
 */

export interface Patience {
  /** From now on for `seconds`; what was running is replaced. `what` begins the reason: "no token for". */
  start(seconds: number, what: string): void;
  /** Nothing is waited for. */
  end(): void;
}

/** A timer that fires so much late says that this process was busy or stopped: what came meanwhile has not been read yet. */
const lateSeconds = 0.1;

/** The clock is that of the timers. */
const now = (): number => performance.now() / 1000;

/** `over` is called once when a limit is over, with the reason. */
export function patience(over: (reason: string) => void): Patience {
  let timer: NodeJS.Timeout | undefined;
  let fires = 0;
  let since = 0;
  let limit = 0;
  let what = "";
  /** What a limit is lengthened by at most, in all. */
  let spare = 0;
  const arm = (seconds: number, from: number): void => {
    fires = from + seconds;
    timer = setTimeout(check, Math.ceil(seconds * 1000));
  };
  const check = (): void => {
    timer = undefined;
    const at = now();
    const left = since + limit - at;
    const late = Math.min(spare, at - fires);
    if (left > 0) arm(left, at);
    else if (late > lateSeconds) {
      spare -= late;
      arm(late, at);
    } else over(`${what} ${limit} s`);
  };
  return {
    start(seconds, reason) {
      since = now();
      limit = spare = seconds;
      what = reason;
      // A timer that fires too early is set again then; one that would fire too late is set now.
      if (timer !== undefined && fires <= since + seconds) return;
      clearTimeout(timer);
      arm(seconds, since);
    },
    end() {
      clearTimeout(timer);
      timer = undefined;
    },
  };
}
