/**
 * Where a verb's words go: with `--json` one document to stdout and the rest to stderr, without it the words to stdout.
 * Knows: that rule. Does not know: what is said.
 */
import { type Terminal, terminal } from "./terminal.ts";

/** The terminal for a verb's words. */
export function words({ json }: { json?: boolean | undefined }): Terminal {
  return terminal(json ? process.stderr : process.stdout);
}

/** Writes the one JSON document of a verb. */
export function printDocument(document: object): void {
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}
