/**
 * Tells whether two models are the same one, where they part, and by what, in lines.
 * Knows: the comparison's report. Does not know: terminals, how it was measured.
 */
import type { ComparedModule, CompareReport } from "../../porting/compare-report.ts";
import type { ComparedSide } from "../../porting/parity/open-side.ts";
import type { Verification } from "../../porting/parity/seal-report.ts";
import { hanging, type Line, line, table } from "./layout.ts";

export const verdictText: Record<CompareReport["verdict"], string> = {
  same: "same: B gives A's answers to the bit",
  "within tolerance": "within tolerance: B answers as A does, up to rounding",
  different: "different: B is not the model that A is",
};

export function compareLines(report: CompareReport): Line[] {
  const { verdict, reasons, cause } = report;
  return [
    line(verdictText[verdict], verdict === "different" ? "bad" : "good"),
    ...reasons.slice(0, 6).flatMap((reason) => hanging("  why  ", reason, "bad")),
    ...(reasons.length > 6 ? [line(`  and  ${reasons.length - 6} more reasons (--json)`, "bad")] : []),
    ...(verdict === "within tolerance" && cause ? hanging("  by   ", `${cause.reason}: ${cause.text}`) : []),
    ...side("A", report.a, report.repeatable.a),
    ...side("B", report.b, report.repeatable.b),
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
    ...layers(report),
    ...tokens(report),
    ...scoring(report),
    ...greedy(report),
    ...task(report),
    ...hanging("  ", `computed by ${report.computedBy}`),
    ...next(report),
  ];
}

export function verifyReportLines({ file, verdict, a, b, reportSha256, signedBy, problems }: Verification): Line[] {
  const isWhole = problems.length === 0;
  return [
    isWhole ? line(`whole: ${file} is as it was written`, "good") : line(`not whole: ${file}`, "bad"),
    ...problems.flatMap((problem) => hanging("  why  ", problem, "bad")),
    line(`  says ${verdict}, of A ${a.slice(0, 12)} and B ${b.slice(0, 12)}`),
    line(`  hash ${reportSha256}`),
    line(signedBy === null ? "  not signed" : `  signed by the key with hash ${signedBy.slice(0, 12)}`),
  ];
}

function side(name: string, about: ComparedSide, repeats: boolean): Line[] {
  const { kind, path, step, format, weightsSha256, contentSha256, contentOf } = about;
  const at = step === null ? "" : `step ${step}, `;
  const hash = weightsSha256 ? `weights ${weightsSha256.slice(0, 12)}` : `${contentOf} ${contentSha256.slice(0, 12)}`;
  const known = kind === "server" ? hash : `${at}${format}, ${hash}`;
  return hanging(`  ${name}    `, `${kind} ${path} (${known})${repeats ? "" : "; does not repeat itself"}`);
}

/** The first module that parts with what lies around it, or each layer's own output where there are few. */
function layers({ modules, firstDivergence }: CompareReport): Line[] {
  if (!modules) return [];
  const first = modules.findIndex(({ module }) => module === firstDivergence);
  const blocks = modules.filter(({ module }) => /^model\.layers\.\d+$/.test(module));
  const whole = blocks.length > 0 ? blocks : modules;
  const shown = first >= 0 ? modules.slice(Math.max(0, first - 2), first + 3) : whole.length > 6 ? worst(whole) : whole;
  return table(
    ["  module", "cosine", "largest error", "mean error", "tokens beyond", ""],
    shown.map((one) => [
      `  ${one.module.length > 40 ? `…${one.module.slice(-39)}` : one.module}`,
      figure(one.cosine),
      figure(one.largestError),
      figure(one.meanError),
      `${one.tokensBeyond} of ${one.tokens}`,
      one.module === firstDivergence ? "first" : "",
    ]),
    [1, 2, 3, 4],
  );
}

const worst = (modules: readonly ComparedModule[]): ComparedModule[] =>
  [...modules].sort((x, y) => y.relativeError - x.relativeError).slice(0, 3);

function tokens(report: CompareReport): Line[] {
  const { positions, topOneAgreement, topFiveShare, meanKl, klOf, largestLogitDifference: largest } = report;
  if (positions === 0) return [];
  const most = `largest logit difference ${figure(largest.value)} (prompt ${largest.prompt + 1}, token ${largest.position + 1})`;
  const kl = `mean KL${klOf === "likeliest tokens" ? " at least" : ""} ${figure(meanKl)}`;
  return hanging(
    "  ",
    `top-1 agreement ${percent(topOneAgreement)}, top-5 ${percent(topFiveShare)} of ${positions} tokens in ` +
      `${report.prompts.length} prompts; ${klOf === "all tokens" ? most : kl}`,
  );
}

/** On which text two answering sides were held against each other. */
export function scoringText({ scoring: found, prompts, positions }: CompareReport): string | undefined {
  if (!found) return undefined;
  const { a, b, prompts: scored, otherTokens } = found;
  if (otherTokens > 0) {
    return `${otherTokens} of ${prompts.length} prompts are cut into other tokens by B than by A: their probabilities are not compared; give both sides one tokenizer`;
  }
  if (scored > 0)
    return `${scored} of ${prompts.length} prompts with A's answers scored on both sides (A by ${a}, B by ${b})`;
  if (positions === 0) return "no probabilities to compare: a side gives none, so only the answers' texts are";
  return "a side does not score texts that it did not write: compared up to where the answers part";
}

function scoring(report: CompareReport): Line[] {
  const text = scoringText(report);
  return text === undefined ? [] : hanging("  ", text);
}

function greedy({ prompts }: CompareReport): Line[] {
  const parted = prompts.flatMap(({ greedyDivergence }, index) =>
    greedyDivergence ? [{ ...greedyDivergence, prompt: index + 1 }] : [],
  );
  const longest = Math.max(...prompts.map(({ answerTokens }) => answerTokens));
  const same = `greedy answers: ${prompts.length - parted.length} of ${prompts.length} the same over ${longest} tokens`;
  const first = parted.find(({ nearTie }) => !nearTie) ?? parted[0];
  if (!first) return hanging("  ", same);
  const how = Number.isFinite(first.gapNats) ? `: ${figure(first.gapNats)} nats, rank ${first.rank}` : "";
  const why = `${first.nearTie ? "near tie" : "no near tie"}${how}`;
  return hanging("  ", `${same}; prompt ${first.prompt} parts at token ${first.at + 1} (${why})`);
}

function task({ task: found }: CompareReport): Line[] {
  if (!found) return [];
  const { a, b, onlyA, onlyB, probability } = found;
  const told = ({ right, of, low, high }: typeof a): string =>
    `${right} of ${of} right (95 %: ${percent(low)} to ${percent(high)})`;
  const text = `task: A ${told(a)}, B ${told(b)}; only A ${onlyA}, only B ${onlyB}, p ${figure(probability)} (McNemar)`;
  return hanging("  ", text);
}

function next({ verdict, a, b }: CompareReport): Line[] {
  if (verdict === "different") {
    const servers = a.kind === "server" || b.kind === "server";
    return [line(servers ? "next: compare the models' directories or traces" : "next: port it again from its source")];
  }
  return b.kind === "checkpoint" || b.kind === "export" ? [line(`next: dualgauge serve ${b.path}`)] : [];
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** Whole numbers as they are, others with three significant figures, and what is nearly 1 with enough to see by how much. */
export function figure(value: number): string {
  if (Number.isInteger(value)) return String(value);
  if (value > 0.99 && value < 1) return value.toFixed(6);
  return Math.abs(value) < 0.001 ? value.toExponential(1) : value.toPrecision(3);
}
