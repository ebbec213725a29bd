/**
 * Lines of text at most 100 columns wide, with a tone that a terminal may show as colour.
 * Knows: width, wrapping, labels. Does not know: terminals, what is said.
 */
export const columns = 100;

/** What a line is about; a terminal may colour it, and the words alone must say the same. */
export type Tone = "plain" | "heading" | "good" | "bad" | "quiet";

export interface Line {
  readonly text: string;
  readonly tone: Tone;
}

export const line = (text: string, tone: Tone = "plain"): Line => ({ text, tone });
const labelWidth = 11;
const indent = 9;

/** `   1.2 s  text`: a moment of the run, wrapped with what follows under the text. */
export function moment(at: number, text: string, tone: Tone = "plain"): Line[] {
  const stamp = `${Math.max(0, at).toFixed(1)} s`.padStart(indent - 1);
  return hanging(`${stamp}  `, text, tone);
}

/** `          label      text`: one labelled part of the moment above it. */
export function part(label: string, text: string, tone: Tone = "plain"): Line[] {
  return hanging(`${" ".repeat(indent + 1)}${label.padEnd(labelWidth)}`, text, tone);
}

/** `first` before the first line and as many spaces before the others. */
export function hanging(first: string, text: string, tone: Tone = "plain"): Line[] {
  const rest = " ".repeat(first.length);
  return wrap(text, columns - first.length).map((row, index) => line((index === 0 ? first : rest) + row, tone));
}

/** Rows of at most `width`; a text that fits keeps its spaces, and a word longer than a row is cut. */
export function wrap(text: string, width: number): string[] {
  if (text.length <= width && !/[\n\t]/.test(text)) return [printable(text)];
  const rows: string[] = [];
  let row = "";
  for (const word of printable(text).split(/\s+/)) {
    for (let rest = word; rest !== ""; ) {
      if (row === "") {
        row = rest.slice(0, width);
        rest = rest.slice(width);
      } else if (row.length + 1 + rest.length <= width) {
        row += ` ${rest}`;
        rest = "";
      } else {
        rows.push(row);
        row = "";
      }
      if (row.length === width) {
        rows.push(row);
        row = "";
      }
    }
  }
  return row === "" && rows.length > 0 ? rows : [...rows, row];
}

/** Text from logs and models without control characters, which could move a terminal's cursor or ring its bell. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out.
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029]/g, "\ufffd");
}

/** Rows of cells under headings; figures (`right`) align right. */
export function table(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): Line[] {
  const widths = headings.map((heading, index) =>
    Math.max(heading.length, ...rows.map((row) => row[index]?.length ?? 0)),
  );
  const write = (row: readonly string[]): string =>
    row
      .map((cell, index) =>
        right.includes(index) ? cell.padStart(widths[index] ?? 0) : cell.padEnd(widths[index] ?? 0),
      )
      .join("  ")
      .trimEnd();
  return [line(write(headings), "quiet"), ...rows.map((row) => line(write(row)))];
}
