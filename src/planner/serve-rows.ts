/**
 * Reads a row of published inference runs into the questions that it may stand for.
 * Knows: the spellings of lengths, loads, layouts and formats in such rows. Does not know: predictions, constants.
 */
import * as z from "zod";

const figure = z.number().nullish();

/** A row in the schema of published inference runs; further fields are allowed and ignored. */
export const InferenceRow = z.looseObject({
  id: z.string().max(300),
  group: z.string().nullish(),
  model: z.string().max(300),
  accelerator: z.string().max(300),
  n_devices: figure,
  nodes: figure,
  phase: z.string().nullish(),
  engine: z.string().nullish(),
  parallelism: z.record(z.string(), z.unknown()).nullish(),
  precision: z.record(z.string(), z.unknown()).nullish(),
  isl: figure,
  osl: figure,
  batch_or_concurrency: z.union([z.string(), z.number()]).nullish(),
  tput_out_total: figure,
  tput_out_per_dev: figure,
  tput_in_per_dev: figure,
  tput_total_all_tokens: figure,
  ttft_ms: figure,
  tpot_ms: figure,
  constraints: z.string().nullish(),
  notes: z.string().nullish(),
});
export type InferenceRow = z.infer<typeof InferenceRow>;

/** What a row measured, in base units. */
export interface Measurement {
  quantity: "outputTokensPerSecondPerDevice" | "promptTokensPerSecondPerDevice" | "secondsPerOutputToken";
  measured: number;
}

/** How the row's load was offered. */
export type OfferedLoad =
  | { kind: "burst"; requests: number }
  | { kind: "queued" }
  | { kind: "rate"; requestsPerSecond: number; requests: number }
  | { kind: "concurrency"; sequences: number; requests: number }
  /** Concurrency only known to lie in a range. */
  | { kind: "range"; least: number; most: number }
  | { kind: "latency-limit"; interactive: boolean }
  | { kind: "batch"; perDevice: number }
  | { kind: "prompts"; tokensPerDevice: number }
  | { kind: "unknown" };

const whole = (text: string | undefined): number => Number((text ?? "").replaceAll(",", ""));

/** The load of a row, from its phase and batch field alone. */
export function offeredLoad(row: InferenceRow): OfferedLoad {
  const phase = (row.phase ?? "").toLowerCase();
  const batch = row.batch_or_concurrency;
  if (phase.startsWith("prefill")) {
    const tokens = typeof batch === "string" ? whole(/([\d,]+) tokens/.exec(batch)?.[1]) : 0;
    return { kind: "prompts", tokensPerDevice: tokens > 0 ? tokens : 16384 };
  }
  if (typeof batch === "number") {
    if (phase.startsWith("decode")) return { kind: "batch", perDevice: batch };
    if (phase.startsWith("static") || phase.startsWith("mixed-offline")) return { kind: "burst", requests: batch };
    return { kind: "concurrency", sequences: batch, requests: Math.max(batch, Math.min(200, 4 * batch)) };
  }
  if (phase === "offline") return { kind: "queued" };
  if (phase === "server" || phase === "interactive")
    return { kind: "latency-limit", interactive: phase === "interactive" };
  const text = batch ?? "";
  const burst = /^(\d+) prompts, peak concurrent (\d+|None)/.exec(text);
  if (burst) return clientLoad(Number(burst[1]), burst[2] === "None" ? undefined : Number(burst[2]), row.isl ?? 0);
  const rate = /QPS (INF|[\d.]+)(?:, (\d+) prompts)?/i.exec(text);
  if (rate) {
    const requests = Number(rate[2] ?? 500);
    return rate[1] === "INF"
      ? { kind: "burst", requests }
      : { kind: "rate", requestsPerSecond: Number(rate[1]), requests };
  }
  const slow = /^(\d+) prompts @ ([\d.]+) req/.exec(text);
  if (slow) return { kind: "rate", requestsPerSecond: Number(slow[2]), requests: Number(slow[1]) };
  if (/max|all queued/i.test(text) || phase.includes("offline")) return { kind: "queued" };
  const leading = /^(\d+)\b/.exec(text);
  if (leading && phase.startsWith("decode")) return { kind: "batch", perDevice: Number(leading[1]) };
  if (leading) return { kind: "concurrency", sequences: Number(leading[1]), requests: 4 * Number(leading[1]) };
  return { kind: "unknown" };
}

/** A client that sent `requests`: all at once when the peak says so, else at a rate that was not published. */
function clientLoad(requests: number, peak: number | undefined, promptTokens: number): OfferedLoad {
  if (peak === undefined) {
    // The latency case of this laboratory sends 100 short prompts slowly; its other cases send everything at once.
    return requests === 100 && promptTokens < 1000
      ? { kind: "range", least: 4, most: 20 }
      : { kind: "burst", requests };
  }
  if (peak >= 0.5 * requests) return { kind: "burst", requests };
  return { kind: "range", least: Math.max(1, peak / 2), most: peak };
}

/** What is compared: throughput, or the pace of one sequence where the client fixed the throughput. */
export function measurementOf(row: InferenceRow, load: OfferedLoad): Measurement | undefined {
  const devices = row.n_devices ?? 1;
  if (load.kind === "prompts" && row.tput_in_per_dev)
    return { quantity: "promptTokensPerSecondPerDevice", measured: row.tput_in_per_dev };
  const pace = row.tpot_ms ? ({ quantity: "secondsPerOutputToken", measured: row.tpot_ms / 1000 } as const) : undefined;
  const perDevice = row.tput_out_per_dev ?? (row.tput_out_total ? row.tput_out_total / devices : undefined);
  const throughput = perDevice
    ? ({ quantity: "outputTokensPerSecondPerDevice", measured: perDevice } as const)
    : undefined;
  if (load.kind === "range") return pace ?? throughput;
  if (load.kind === "rate" && row.osl && perDevice) {
    // Below saturation the arrival rate is the throughput: predicting it would prove nothing.
    const offered = (load.requestsPerSecond * row.osl) / devices;
    return perDevice > 0.75 * offered ? (pace ?? throughput) : throughput;
  }
  return throughput ?? pace;
}

/** Chat traces have long-tailed lengths; benchmark generators give round ones. */
export function lengthsSpread(row: InferenceRow): boolean {
  if ((row.group ?? "").startsWith("mlperf") || /sharegpt/i.test(String(row.batch_or_concurrency ?? ""))) return true;
  const isl = row.isl ?? 0;
  const round = [
    128, 256, 500, 512, 1000, 1024, 2000, 2048, 3500, 4000, 4096, 5000, 8000, 8192, 10000, 16000, 16384, 20000, 32000,
    32784, 64000,
  ];
  const exact =
    round.some((r) => Math.abs(isl / r - 1) < 0.02) || [1, 4, 16, 128, 256, 512, 1024].includes(row.osl ?? 0);
  return isl > 0 && !exact;
}

/** Engine flags that a row's note quotes. */
export interface QuotedFlags {
  stepTokensMax?: number;
  memoryShare?: number;
  drafted: number;
  pipeline?: number;
  /** Host work of the next step overlaps this one (`--async-scheduling`). */
  overlappedHost: boolean;
  /** Share of prompt tokens that the source says came from a cache and still counts. */
  prefixHit: number;
}

export function quotedFlags(row: InferenceRow): QuotedFlags {
  const notes = row.notes ?? "";
  const value = (pattern: RegExp): number | undefined => {
    const found = pattern.exec(notes)?.[1];
    return found ? Number(found) : undefined;
  };
  const mtp = Number(row.parallelism?.mtp ?? row.parallelism?.mtp_steps ?? 0) || 0;
  const speculative = /--speculative|section '[^']*(MTP|Speculative)[^']*'|\/ 'MTP'|simulated MTP|^with MTP/i.test(
    `${notes} ${row.engine ?? ""}`,
  );
  const eagle = /EAGLE3/i.test(notes);
  const stepTokensMax = value(/--max[-_]num[-_](?:batched[-_])?tokens[= ](\d+)/);
  const memoryShare = value(/--gpu-memory-utilization[= ]([\d.]+)/);
  const pipeline = value(/-pp (\d+)/);
  return {
    prefixHit: /INCLUDING cache hits/i.test(notes) ? (value(/([\d.]+)% on-disk KV hit/) ?? 0) / 100 : 0,
    overlappedHost: /--async-scheduling/.test(notes),
    drafted: mtp > 0 ? mtp : speculative ? (eagle ? 4 : 1) : 0,
    ...(stepTokensMax ? { stepTokensMax } : {}),
    ...(memoryShare ? { memoryShare } : {}),
    ...(pipeline ? { pipeline } : {}),
  };
}

/** What makes two rows one configuration: model, chip, count, layout, formats and engine; lengths and loads do not. */
export function configurationOf(row: InferenceRow): string {
  const plain = (value: unknown): string => JSON.stringify(value ?? null).toLowerCase();
  return [row.model, row.accelerator, row.n_devices, row.parallelism, row.precision, row.engine].map(plain).join("|");
}

/** A 32-bit FNV-1a hash of a row's configuration, load and measurement: tells a public row from a new one of its kind. */
export function rowFingerprint(row: InferenceRow): number {
  const text = [
    configurationOf(row),
    row.isl,
    row.osl,
    row.batch_or_concurrency,
    row.phase,
    row.tput_out_total,
    row.tput_out_per_dev,
    row.tput_in_per_dev,
    row.tpot_ms,
  ].join("|");
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
