/**
 * Lays out rows of text as a table with aligned columns.
 * Knows: widths and alignment. Does not know: what the cells mean.
 */

/** Columns whose name ends in `>` align right (the mark is not printed); the last line has no trailing blanks. */
export function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const right = columns.map((name) => name.endsWith(">"));
  const names = columns.map((name) => name.replace(/>$/, ""));
  const widths = names.map((name, i) => Math.max(name.length, ...rows.map((row) => (row[i] ?? "").length)));
  const line = (cells: readonly string[]): string =>
    widths
      .map((width, i) => (right[i] ? (cells[i] ?? "").padStart(width) : (cells[i] ?? "").padEnd(width)))
      .join("  ")
      .trimEnd();
  return [line(names), ...rows.map(line)].join("\n");
}

/** Widest line that is printed for a person. */
const columnsMax = 100;

/** Breaks a text at blanks so that no line is wider than the tables; further lines are indented two blanks deeper. */
export function wrapped(text: string): string[] {
  const indent = `${/^ */.exec(text)?.[0] ?? ""}  `;
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/(?<=\S) /)) {
    if (line !== "" && line.length + 1 + word.length > columnsMax) {
      lines.push(line);
      line = indent + word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
