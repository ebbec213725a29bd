/**
 * The one way to refuse what a person gave: a line that says where, what and how to mend.
 * Knows: how such a line reads. Does not know: who prints it; the CLI prints it and exits with 2.
 */
import { closest, distance } from "fastest-levenshtein";

export class BadInput extends Error {
  override readonly name = "BadInput";
  readonly problems: readonly string[];

  /** One line per problem, each `where: what; how to mend`. */
  constructor(...problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/** `; did you mean X?` for the known name nearest to `given`, or an empty string when none is near. */
export function didYouMean(given: string, known: readonly string[]): string {
  if (known.length === 0 || given.length > 200) return "";
  const nearest = closest(given, [...known]);
  return distance(given, nearest) <= Math.max(2, Math.ceil(given.length / 2)) ? `; did you mean ${nearest}?` : "";
}
