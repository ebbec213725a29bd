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
