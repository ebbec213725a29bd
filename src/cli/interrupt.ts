/**
 * Turns Ctrl-C and SIGTERM into an abort signal, so that a verb ends in order; a second Ctrl-C ends it at once.
 * Knows: signals and exit code 130. Does not know: what ending in order means.
 */
import { constants } from "node:os";

export interface Interrupt {
  readonly signal: AbortSignal;
  /** Resolves at the first signal. */
  readonly asked: Promise<void>;
  /** The signal that was caught first. */
  readonly caught: () => NodeJS.Signals | undefined;
  dispose(): void;
}

/** `signals`: those that end the verb. */
export function onInterrupt(signals: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"]): Interrupt {
  const controller = new AbortController();
  let first: NodeJS.Signals | undefined;
  const stop = (signal: NodeJS.Signals): void => {
    if (first !== undefined) process.exit(128 + constants.signals[signal]);
    first = signal;
    controller.abort(signal);
  };
  for (const signal of signals) process.on(signal, stop);
  return {
    signal: controller.signal,
    asked: new Promise((resolve) => controller.signal.addEventListener("abort", () => resolve(), { once: true })),
    caught: () => first,
    dispose() {
      for (const signal of signals) process.off(signal, stop);
    },
  };
}
