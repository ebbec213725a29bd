/**
 * A mixed-integer linear program, written in the text format that solvers read.
 * Knows: variables, rows, bounds, the CPLEX LP format. Does not know: what any variable means, which solver reads it.
 */

export type VariableKind = "continuous" | "binary";
export type Sense = "<=" | ">=" | "=";
export type Term = readonly [variable: number, coefficient: number];

interface Variable {
  cost: number;
  lower: number;
  upper: number;
  kind: VariableKind;
}

interface Row {
  terms: readonly Term[];
  sense: Sense;
  bound: number;
}

export class LinearProgram {
  readonly variables: Variable[] = [];
  readonly rows: Row[] = [];

  /** Adds a variable that costs `cost` per unit in the objective to be minimised; returns its index. */
  variable(cost: number, { upper = Number.POSITIVE_INFINITY, kind = "continuous" as VariableKind } = {}): number {
    this.variables.push({ cost, lower: 0, upper, kind });
    return this.variables.length - 1;
  }

  /** Adds a row; terms of coefficient 0 are dropped. Returns its index. */
  row(terms: readonly Term[], sense: Sense, bound: number): number {
    this.rows.push({ terms: terms.filter(([, coefficient]) => coefficient !== 0), sense, bound });
    return this.rows.length - 1;
  }

  /** The same program with every binary held at the value of `at`: a plain linear program, whose duals are prices. */
  withFixedBinaries(at: readonly number[]): LinearProgram {
    const fixed = new LinearProgram();
    for (const [i, variable] of this.variables.entries()) {
      if (variable.kind !== "binary") fixed.variables.push(variable);
      else {
        const value = Math.round(at[i] ?? 0);
        fixed.variables.push({ ...variable, kind: "continuous", lower: value, upper: value });
      }
    }
    fixed.rows.push(...this.rows);
    return fixed;
  }

  /** Variables are `x0`, `x1`, … and rows `r0`, `r1`, …; `forced` fixes variables for this text alone. */
  text(forced: ReadonlyMap<number, number> = new Map()): string {
    const sum = (terms: readonly Term[]): string =>
      terms.map(([i, c]) => `${c < 0 ? "-" : "+"} ${number(Math.abs(c))} x${i}`).join("\n  ") || "0 x0";
    const lines = [
      "Minimize",
      ` cost: ${sum(this.variables.flatMap(({ cost }, i): Term[] => (cost === 0 ? [] : [[i, cost]])))}`,
    ];
    lines.push("Subject To");
    for (const [i, { terms, sense, bound }] of this.rows.entries())
      lines.push(` r${i}: ${sum(terms)} ${sense} ${number(bound)}`);
    lines.push("Bounds");
    for (const [i, { lower, upper }] of this.variables.entries()) {
      const value = forced.get(i);
      if (value !== undefined) lines.push(` x${i} = ${number(value)}`);
      else if (lower === upper) lines.push(` x${i} = ${number(lower)}`);
      else lines.push(` ${number(lower)} <= x${i}${upper === Number.POSITIVE_INFINITY ? "" : ` <= ${number(upper)}`}`);
    }
    const binaries = this.variables.flatMap(({ kind }, i) => (kind === "binary" && !forced.has(i) ? [`x${i}`] : []));
    if (binaries.length > 0) lines.push("Binary", ...binaries.map((x) => ` ${x}`));
    lines.push("End");
    return `${lines.join("\n")}\n`;
  }
}

/** Plain decimal digits: some readers take `1e+21` for a name. */
function number(value: number): string {
  if (!Number.isFinite(value)) throw new RangeError(`${value} in a linear program`);
  return /e/.test(String(value)) ? value.toFixed(Math.abs(value) < 1 ? 20 : 0) : String(value);
}
