/**
 * Shows lines, and on a terminal one live line below them that is drawn over and over.
 * Knows: TTY or not, NO_COLOR, the width of the window. Does not know: what is shown.
 */
import type { WriteStream } from "node:tty";
import { type Line, printable, type Tone } from "./render/layout.ts";

export interface Terminal {
  print(lines: readonly Line[]): void;
  /** Draws `text` as the live line, with a bar of `share` (0 to 1) before it. Does nothing where there is no terminal. */
  live(share: number, text: string): void;
  /** Takes the live line away. */
  end(): void;
}

const colour: Record<Tone, string> = {
  plain: "",
  heading: "\u001b[1m",
  good: "\u001b[32m",
  bad: "\u001b[31m",
  quiet: "\u001b[2m",
};
const clearLine = "\r\u001b[2K";
const barWidth = 16;

type Stream = Pick<WriteStream, "write" | "columns"> & { readonly isTTY?: boolean };

export function terminal(stream: Stream, environment: NodeJS.ProcessEnv = process.env): Terminal {
  const dumb = stream.isTTY !== true || environment.TERM === "dumb";
  const colours = !dumb && (environment.NO_COLOR ?? "") === "";
  let current = "";
  const paint = ({ text, tone }: Line): string =>
    colours && colour[tone] !== "" ? `${colour[tone]}${text}\u001b[0m` : text;
  return {
    print(lines) {
      if (lines.length === 0) return;
      const text = lines.map((line) => `${paint(line)}\n`).join("");
      stream.write(dumb ? text : `${current === "" ? "" : clearLine}${text}${current}`);
    },
    live(share, text) {
      if (dumb) return;
      const filled = Math.round(Math.min(1, Math.max(0, share)) * barWidth);
      const bar = `[${"#".repeat(filled)}${".".repeat(barWidth - filled)}] `;
      // One column stays free: a line that fills the window would wrap and could not be cleared.
      const next = (bar + printable(text)).slice(0, Math.max(1, (stream.columns || 80) - 1));
      if (next === current) return;
      current = next;
      stream.write(clearLine + current);
    },
    end() {
      if (current !== "") stream.write(clearLine);
      current = "";
    },
  };
}
