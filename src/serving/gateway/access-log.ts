/**
 * Writes one JSON line for each request, never a word of what was asked or answered.
 * Knows: where lines go, that they are gathered. Does not know: requests, files of other purposes.
 */
import { appendFileSync } from "node:fs";

export interface AccessLog {
  /** `entry` is called only when a line is written. */
  write(entry: () => Readonly<Record<string, unknown>>): void;
  /** Writes what is gathered. */
  flush(): void;
}

const gatherMilliseconds = 100;
const gatheredCharactersMax = 65_536;

/** `target`: a file that is appended to, `-` for stderr, undefined for nowhere. An append that fails is said once on stderr. */
export function createAccessLog(target: string | undefined): AccessLog {
  if (target === undefined) return { write: () => undefined, flush: () => undefined };
  let gathered = "";
  let timer: NodeJS.Timeout | undefined;
  let complained = false;
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (gathered === "") return;
    const lines = gathered;
    gathered = "";
    if (target === "-") {
      process.stderr.write(lines);
      return;
    }
    try {
      appendFileSync(target, lines);
      complained = false;
    } catch (error) {
      if (!complained) process.stderr.write(`dualgauge serve: access log ${target}: ${String(error)}\n`);
      complained = true;
    }
  };
  return {
    write(entry) {
      gathered += `${JSON.stringify(entry())}\n`;
      if (gathered.length > gatheredCharactersMax) flush();
      else timer ??= setTimeout(flush, gatherMilliseconds).unref();
    },
    flush,
  };
}
