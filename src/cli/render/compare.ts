/**
 * Tells whether two models are the same one, and by what, in lines.
 * Knows: the comparison's report. Does not know: terminals, how it was measured.
 */
import type { ComparedSide, CompareReport } from "../../porting/compare-report.ts";
import { hanging, type Line, line, table } from "./layout.ts";

const verdictText: Record<CompareReport["verdict"], string> = {
  same: "same: B gives A's logits to the bit",
  "within tolerance": "within tolerance: B answers as A does, up to rounding",
  different: "different: B is not the model that A is",
};

export function compareLines(report: CompareReport): Line[] {
  const { verdict, reasons, prompts, positions, topOneAgreement, largestLogitDifference: largest } = report;
  return [
    line(verdictText[verdict], verdict === "different" ? "bad" : "good"),
    ...reasons.flatMap((reason) => hanging("  why  ", reason, "bad")),
    ...side("A", report.a),
    ...side("B", report.b),
    ...table(
      ["  check", "measured", "limit", ""],
      report.checks.map((check) => [
        `  ${check.name}`,
        figure(check.value),
        figure(check.limit),
        check.passed ? "" : "fails",
      ]),
      [1, 2],
    ),
    ...hanging(
      "  ",
      `top-1 agreement ${(100 * topOneAgreement).toFixed(1)} % of ${positions} tokens in ${prompts.length} prompts; ` +
        `largest logit difference ${figure(largest.value)} (prompt ${largest.prompt + 1}, token ${largest.position + 1})`,
    ),
    ...greedy(report),
    ...hanging("  ", `computed by ${report.computedBy}`),
    line(verdict === "different" ? "next: port it again from its source" : `next: dualgauge serve ${report.b.path}`),
  ];
}

function side(name: string, { kind, path, step, format, weightsSha256 }: ComparedSide): Line[] {
  const at = step === null ? "" : `step ${step}, `;
  return hanging(`  ${name}    `, `${kind} ${path} (${at}${format}, weights ${weightsSha256.slice(0, 12)})`);
}

function greedy({ prompts }: CompareReport): Line[] {
  const parted = prompts.flatMap(({ greedyDivergence }, index) =>
    greedyDivergence ? [{ ...greedyDivergence, prompt: index + 1 }] : [],
  );
  const tokens = Math.max(...prompts.map(({ answerTokens }) => answerTokens));
  const same = `greedy answers: ${prompts.length - parted.length} of ${prompts.length} the same over ${tokens} tokens`;
  const [first] = parted;
  if (!first) return hanging("  ", same);
  const why = `${first.nearTie ? "near tie" : "no near tie"}: ${figure(first.gapNats)} nats, rank ${first.rank}`;
  return hanging("  ", `${same}; prompt ${first.prompt} parts at token ${first.at + 1} (${why})`);
}

/** Whole numbers as they are, others with three significant figures, and what is nearly 1 with enough to see by how much. */
function figure(value: number): string {
  if (Number.isInteger(value)) return String(value);
  if (value > 0.99 && value < 1) return value.toFixed(6);
  return Math.abs(value) < 0.001 ? value.toExponential(1) : value.toPrecision(3);
}
