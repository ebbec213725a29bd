/**
 * Tells what follows training: the export, the comparison on the other gauge, the answer, and where all of it lies.
 * Knows: reports of porting and serving, reduced to what a reader needs. Does not know: how they came about.
 */
import type { PoolSpec } from "../../spec/run-file.ts";
import type { ServedStory } from "../story-serve.ts";
import { columns, hanging, type Line, line, printable, wrap } from "./layout.ts";
import { bytes, count, decimal, nats, seconds } from "./quantities.ts";

/** A heading with an empty line above. */
export const chapter = (title: string): Line[] => [line(""), line(title, "heading")];

const gauge = ({ name, emulate }: PoolSpec): string =>
  `pool ${name} (${emulate.platform}${emulate.platform === "cpu" ? "" : ", emulated on CPU"})`;

export function portLines(
  report: { path: string; isNew: boolean; bytes: number; operators: number },
  pool: PoolSpec,
  precision: string,
): Line[] {
  const done = report.isNew ? "exported" : "was exported already";
  const what = `${done}: ${bytes(report.bytes)} in ${precision}, Hugging Face files and ONNX graphs for prefill and decode`;
  return [
    ...hanging("  for        ", gauge(pool)),
    ...hanging("  export     ", what, "good"),
    ...hanging(
      "  operators  ",
      `${report.operators} ONNX operators, all known to the toolkit of ${pool.emulate.platform} in the catalog`,
    ),
  ];
}

export function quantizedLines(report: {
  path: string;
  bytes: number;
  tensors: number;
  quantizedTensors: number;
}): Line[] {
  const what = `${bytes(report.bytes)}, ${report.quantizedTensors} of ${count(report.tensors, "tensor")} in signed bytes with a scale a row, read back and verified`;
  return hanging("  w8a8       ", what, "good");
}

/** The canary's figures, and what came of the requests while a pool was killed. */
export function servedLines({ canary, load }: Pick<ServedStory, "canary" | "load">): Line[] {
  const share = (part: number): string => `${(part * 100).toFixed(0)} %`;
  const agreed = `${canary.percent} % of conversations; ${count(canary.samples, "sample")} agree to ${share(canary.agreement)} with the trained pool's texts, which agree to ${share(canary.selfAgreement)} with themselves`;
  const answered = Object.entries(load.byBackend).map(([name, answers]) => `${answers} by ${name}`);
  const failed = `${load.failed} of ${count(load.requests, "request")} failed, ${load.atOnce} at once, in ${seconds(load.seconds)}`;
  return [
    ...hanging("  canary     ", agreed),
    ...canaryEnd(canary),
    ...hanging("  killed     ", `SIGKILL to pool ${load.killed}'s server after ${count(load.killedAfter, "answer")}`),
    ...hanging("  outcome    ", failed, load.failed === 0 ? "good" : "bad"),
    ...hanging(
      "             ",
      `${count(load.continued, "answer")} went on in the middle on the other pool; since the start answered: ${answered.join(", ")}`,
    ),
  ];
}

function canaryEnd({ samples, samplesMin, rolledBack }: ServedStory["canary"]): Line[] {
  if (rolledBack !== null) return hanging("  rolled back", rolledBack, "bad");
  if (samples < samplesMin) return hanging("  not judged ", `a canary is judged from ${samplesMin} samples on`, "bad");
  return [line("  promoted   the ported model takes its full share", "good")];
}

export interface Parity {
  readonly verdict: string;
  readonly reasons: readonly string[];
  readonly positions: number;
  readonly topOneAgreement: number;
  readonly meanKl: number;
  readonly largestLogitDifference: { readonly value: number };
  readonly prompts: readonly { readonly greedyDivergence: { readonly at: number; readonly nearTie: boolean } | null }[];
}

export function parityLines(report: Parity, what: string, pool: PoolSpec): Line[] {
  const parted = report.prompts.flatMap(({ greedyDivergence }, index) =>
    greedyDivergence === null
      ? []
      : [`prompt ${index + 1} at token ${greedyDivergence.at}${greedyDivergence.nearTie ? " (a near tie)" : ""}`],
  );
  const same = `${count(report.prompts.length, "greedy answer")} equal to the last token`;
  return [
    ...hanging(
      "  verdict    ",
      `${report.verdict}: trained checkpoint against ${what} on the gauge of ${gauge(pool)}`,
      report.verdict === "different" ? "bad" : "good",
    ),
    ...hanging(
      "  top-1      ",
      `${(report.topOneAgreement * 100).toFixed(2)} % of ${count(report.positions, "position")} agree on the likeliest token`,
    ),
    ...hanging("  mean KL    ", `${report.meanKl.toExponential(2)} nats/token`),
    ...hanging("  logits     ", `largest difference ${report.largestLogitDifference.value.toPrecision(3)}`),
    ...hanging("  divergence ", parted.length === 0 ? same : `greedy answers part: ${parted.join(", ")}`),
    ...report.reasons.flatMap((reason) => hanging("  because    ", reason, "bad")),
  ];
}

export function answerLines(answer: {
  url: string;
  model: string;
  prompt: string;
  text: string;
  tokens: number;
  seconds: number;
}): Line[] {
  const head = `POST ${answer.url}/v1/completions, model ${answer.model}`;
  const rate = `${count(answer.tokens, "token")} in ${seconds(answer.seconds)} (${decimal(answer.tokens / answer.seconds)} tokens/s)`;
  return [...hanging("  asked      ", head), ...hanging("  took       ", rate), ...quoted(answer.prompt + answer.text)];
}

/** A model's own words between bars, with its line ends. */
function quoted(text: string): Line[] {
  return printable(text)
    .split("\n")
    .flatMap((row) => wrap(row, columns - 4))
    .map((row) => line(`  │ ${row}`));
}

/** How far the model is from knowing letter frequencies alone. */
export function learned(validationLoss: number, unigramEntropy: number): Line[] {
  const share = (1 - validationLoss / unigramEntropy) * 100;
  const verdict =
    share > 0
      ? `${share.toFixed(0)} % below the ${nats(unigramEntropy)} nats of a model that knows only how often each token occurs`
      : `not below the ${nats(unigramEntropy)} nats of a model that knows only how often each token occurs`;
  return hanging(
    "  learned    ",
    `validation loss ${nats(validationLoss)} nats/token, ${verdict}`,
    share > 0 ? "good" : "bad",
  );
}

/** Where everything lies, and what to type next. */
export function places(entries: readonly (readonly [string, string])[], next: readonly string[]): Line[] {
  const width = Math.max(...entries.map(([name]) => name.length)) + 2;
  return [
    ...entries.flatMap(([name, path]) => hanging(`  ${name.padEnd(width)}`, path)),
    ...next.map((command) => line(`next: ${command}`)),
  ];
}
