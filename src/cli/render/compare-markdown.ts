/**
 * A comparison's report as a page that a person reads and keeps.
 * Knows: the sealed report, Markdown. Does not know: files.
 */
import type { CompareReport } from "../../porting/compare-report.ts";
import type { ComparedSide } from "../../porting/parity/open-side.ts";
import type { Seal } from "../../porting/parity/seal-report.ts";
import { figure, scoringText, verdictText } from "./compare.ts";

export function compareMarkdown(report: CompareReport & Seal): string {
  const { verdict, cause, reasons, reportSha256, signature } = report;
  const lines = [
    `# ${verdictText[verdict]}`,
    "",
    ...(cause ? [`**${cause.reason}** at ${place(cause)}: ${text(cause.text)}`, ""] : []),
    ...reasons.slice(1).map((reason) => `- ${text(reason)}`),
    ...(reasons.length > 1 ? [""] : []),
    "| | A | B |",
    "|---|---|---|",
    ...sides(report.a, report.b),
    `| repeats itself | ${yes(report.repeatable.a)} | ${yes(report.repeatable.b)} |`,
    "",
    "## Checks",
    "",
    "| check | measured | limit | | where the limit comes from |",
    "|---|---:|---:|---|---|",
    ...report.checks.map(
      ({ name, value, limit, passed, source }) =>
        `| ${name} | ${figure(value)} | ${figure(limit)} | ${passed ? "passes" : "**fails**"} | ${text(source)} |`,
    ),
    "",
    ...tokens(report),
    ...(scoringText(report) === undefined ? [] : [`How: ${text(scoringText(report) ?? "")}.`, ""]),
    ...task(report),
    ...modules(report),
    "## Seal",
    "",
    `\`compare.json\` beside this page holds every figure. SHA-256 of its canonical JSON: \`${reportSha256}\`.`,
    signature ? `Signed with the Ed25519 key \`${signature.publicKey}\`.` : "Not signed.",
    "`dualgauge compare --verify compare.json` checks both.",
    "",
  ];
  return lines.join("\n");
}

const yes = (value: boolean): string => (value ? "yes" : "**no**");

/** Text from models and servers, so that it cannot break a table or pose as markup. */
const text = (given: string): string => given.replace(/[\r\n]+/g, " ").replace(/[|<>`*_[\]]/g, (mark) => `\\${mark}`);

function place({ layer, module }: NonNullable<CompareReport["cause"]>): string {
  if (layer !== null) return `layer ${layer} (\`${module ?? ""}\`)`;
  return module === null ? "no single place" : `\`${module}\``;
}

function sides(a: ComparedSide, b: ComparedSide): string[] {
  const row = (name: string, of: (side: ComparedSide) => string): string => `| ${name} | ${of(a)} | ${of(b)} |`;
  return [
    row("what", ({ kind, path }) => `${kind} ${text(path)}`),
    row("content hash", ({ contentSha256, contentOf }) => `\`${contentSha256}\` (${contentOf})`),
    row("weights hash", ({ weightsSha256 }) => (weightsSha256 ? `\`${weightsSha256}\`` : "not shown")),
    row("stored as", ({ format, kind }) => (kind === "server" ? "not known" : format)),
    row("computed by", ({ computedBy }) => text(computedBy)),
  ];
}

function tokens(report: CompareReport): string[] {
  if (report.positions === 0) return [];
  const bound = report.klOf === "likeliest tokens" ? " (a lower bound: only the likeliest tokens are known)" : "";
  return [
    "## Tokens",
    "",
    `${report.positions} positions in ${report.prompts.length} prompts: top-1 agreement ${figure(report.topOneAgreement)}, ` +
      `top-5 ${figure(report.topFiveShare)}, mean KL ${figure(report.meanKl)} nats, largest ${figure(report.largestKl)}${bound}.`,
    "",
    "| prompt | tokens | answer | mean KL | parts at | near tie |",
    "|---:|---:|---:|---:|---:|---|",
    ...report.prompts.map(({ promptTokens, answerTokens, meanKl, greedyDivergence: parted }, index) => {
      const at = parted ? `${parted.at + 1} | ${parted.nearTie ? "yes" : "**no**"}` : "– | –";
      return `| ${index + 1} | ${promptTokens} | ${answerTokens} | ${figure(meanKl)} | ${at} |`;
    }),
    "",
  ];
}

function task({ task: found }: CompareReport): string[] {
  if (!found) return [];
  const row = (name: string, { right, of, low, high }: typeof found.a): string =>
    `| ${name} | ${right} of ${of} | ${figure(low)} to ${figure(high)} |`;
  return [
    "## Task",
    "",
    "| side | right | 95 % interval (Wilson) |",
    "|---|---:|---|",
    row("A", found.a),
    row("B", found.b),
    "",
    `Only A right: ${found.onlyA}, only B: ${found.onlyB}; exact McNemar p = ${figure(found.probability)}. Scored by ${found.scoredBy}.`,
    "",
  ];
}

function modules({ modules: found, firstDivergence }: CompareReport): string[] {
  if (!found) return [];
  return [
    "## Modules",
    "",
    `In the order in which the model runs; ${firstDivergence === null ? "none parts beyond rounding" : `the first to part is \`${firstDivergence}\``}.`,
    "",
    "| module | cosine | largest error | mean error | relative error | tokens beyond | vendor's rule |",
    "|---|---:|---:|---:|---:|---:|---|",
    ...found.map(
      (one) =>
        `| ${text(one.module)} | ${figure(one.cosine)} | ${figure(one.largestError)} | ${figure(one.meanError)} | ` +
        `${figure(one.relativeError)} | ${one.tokensBeyond} of ${one.tokens} | ${one.passesVendorRule ? "passes" : "fails"} |`,
    ),
    "",
  ];
}
