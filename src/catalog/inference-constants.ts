/**
 * The calibrated constants of the serving model: what each means, where its prior comes from, and the fitted values.
 * Knows: names, priors, fits. Does not know: formulas that use them, the rows that they were fitted to.
 */
import { inferenceFit } from "./data/inference-fit.ts";

/** One free constant: its prior value, and how far (in natural logarithms) the fit may believe that it lies from it. */
export interface InferenceParameter {
  name: string;
  prior: number;
  spread: number;
  meaning: string;
}

const parameter = (name: string, prior: number, spread: number, meaning: string): InferenceParameter => ({
  name,
  prior,
  spread,
  meaning,
});

const chips: readonly InferenceParameter[] = [
  ["ampere", "16-bit", 0.8],
  ["hopper", "16-bit", 0.75],
  ["hopper", "fp8", 0.65],
  ["ada", "fp8", 0.6],
  ["blackwell", "fp8", 0.65],
  ["blackwell", "fp4", 0.5],
  ["cdna", "fp8", 0.4],
  ["ascend", "16-bit", 0.65],
  ["ascend", "int8", 0.65],
].map(([chip, unit, prior]) =>
  parameter(`compute.${chip}.${unit}`, Number(prior), 0.2, `share of the dense ${unit} peak that large matrices reach`),
);

export const engineFamilies = [
  "trtllm-engine",
  "trtllm",
  "trtllm-serve",
  "vllm-2024",
  "vllm",
  "sglang",
  "mindie",
  "vllm-ascend-2025",
  "vllm-ascend",
  "disaggregated",
] as const;
export type EngineFamily = (typeof engineFamilies)[number];

/**
 * Who does the host work of a step: a compiled runtime, a worker without a front end, or a worker behind an HTTP server.
 * Engines of one class share their host constants: single sources do not get their own.
 */
export type HostClass = "engine" | "bench" | "server";
export function hostClass(engine: EngineFamily): HostClass {
  if (engine === "trtllm-engine") return "engine";
  return engine === "trtllm" || engine === "disaggregated" ? "bench" : "server";
}

const hosts = (["engine", "bench", "server"] as const).flatMap((host) => [
  parameter(`host.${host}.step`, 1.5e-3, 0.8, "host seconds per step"),
  parameter(`host.${host}.sequence`, host === "server" ? 5e-5 : 6e-6, 1, "host seconds per running sequence and step"),
  parameter(`host.${host}.promptToken`, 1e-6, 1.2, "host seconds per prompt token"),
]);

/** Ascend engines have none: the constants of the chip hold their kernels, as TensorRT engines do on NVIDIA's. */
const kernels = ["trtllm", "trtllm-serve", "vllm-2024", "vllm", "sglang", "disaggregated"].map((engine) =>
  parameter(`kernels.${engine}`, 0.9, 0.3, "matrix and attention rate over that of TensorRT engines"),
);

export const inferenceParameters: readonly InferenceParameter[] = [
  ...chips,
  parameter("memory.nvidia", 0.85, 0.08, "share of memory bandwidth that weights and cache reach"),
  parameter("memory.others", 0.7, 0.08, "the same on CDNA and Ascend"),
  parameter("attention.hopper", 0.5, 0.25, "share of the 16-bit peak that attention reaches"),
  parameter("attention.others", 0.4, 0.25, "the same on other chips"),
  parameter("attention.latent", 0.65, 0.15, "the same for decoding against a latent cache, on any chip"),
  parameter("link.share", 0.6, 0.3, "share of a link's one-way rate that collectives reach"),
  parameter("link.latency", 1.5e-5, 0.5, "seconds of a collective per doubling of ranks, payload apart"),
  ...hosts,
  parameter("host.request", 3e-4, 1.5, "host seconds to take in one request"),
  parameter("host.overlapped", 0.6, 0.4, "host seconds that remain visible under asynchronous scheduling"),
  parameter("layer.graph", 8e-6, 0.8, "launch and tail seconds per layer of a captured graph"),
  parameter("layer.ascend", 1e-4, 0.8, "the same of an Ascend graph"),
  parameter("layer.eager", 4e-4, 0.5, "the same where no graph was captured"),
  parameter("layer.eager.ascend", 4e-4, 0.5, "the same on Ascend, whose hosts dispatch more slowly"),
  parameter("reserve", 3, 0.5, "GiB per device for activations, graphs and the runtime"),
  ...kernels,
  parameter("experts.compute", 0.75, 0.3, "grouped matrix rate over dense matrix rate"),
  parameter(
    "experts.independence",
    0.7,
    0.3,
    "share of a batch's tokens that pick experts independently of the others",
  ),
  parameter("experts.pad", 16, 0.8, "tokens lost to tiles per active expert"),
  parameter("experts.imbalance", 1.3, 0.2, "load of the busiest expert rank over the mean, up to 8 ranks"),
  parameter("experts.launches", 1, 0.5, "layers that the kernels of a mixture layer count for besides its own"),
  parameter("dense.pad", 16, 0.8, "tokens lost to tiles per dense matrix"),
  parameter("fp8.block", 0.75, 0.25, "rate of block-scaled FP8 matrices over per-tensor ones"),
  parameter("weightOnly", 0.85, 0.2, "rate of weight-only kernels over their 16-bit rate"),
  parameter("weightOnly.later", 0.6, 0.2, "the same from Hopper on, whose fastest products they do not use"),
  parameter(
    "unfused",
    0.12,
    0.5,
    "share of weight bandwidth that row-scaled FP8 reached on CDNA before its kernels were fused",
  ),
  parameter("vectors.passes", 10, 0.5, "memory passes of a hidden vector per layer between matrices"),
  parameter("indexer.passes", 30, 0.7, "memory passes per layer and token of a sparse-attention indexer"),
  parameter(
    "speculative.acceptance",
    0.75,
    0.15,
    "chance that a token drafted by the model's own layer survives, given that those before it did",
  ),
  parameter("speculative.drafter", 0.6, 0.2, "the same for a token of a separate draft model"),
  parameter("network.latency", 6e-5, 0.3, "seconds of an all-to-all between nodes, payload apart"),
  parameter("network.share", 0.8, 0.15, "share of the network rate that all-to-alls reach"),
  parameter(
    "sharpness",
    1.6,
    0.3,
    "exponent of the roofline's knee: 1 adds compute and memory time, more hides the smaller",
  ),
  parameter("exposed", 0.6, 0.3, "share of expert all-to-all that is always visible"),
];

/** What is a share of something, and cannot be more than all of it. */
const shares =
  /^(compute|memory|attention|weightOnly|speculative)\b|^(link|network)\.share$|^(host\.overlapped|experts\.(compute|independence)|fp8\.block|unfused|exposed)$/;

/**
 * The values that a constant can have if it means what it says: shares up to 1, rates of an engine's kernels up to half as much
 * again as TensorRT's, the busiest of 8 expert ranks up to twice the mean. A fitted constant outside says that a formula lacks
 * something; docs/validation.md lists them.
 */
export function physicalRange(name: string): readonly [number, number] {
  if (shares.test(name)) return [0.01, 1];
  if (name.startsWith("kernels.")) return [0.3, 1.5];
  if (name === "sharpness") return [1, Number.POSITIVE_INFINITY];
  return name === "experts.imbalance" ? [1, 2] : [0, Number.POSITIVE_INFINITY];
}

export type InferenceConstants = Readonly<Record<string, number>>;

const fitted = new Map(inferenceFit.names.map((name, index) => [name, inferenceFit.values[index]] as const));

/** The constants committed with this version, fitted to all published runs; a constant without a fit has its prior. */
export const inferenceConstants: InferenceConstants = Object.fromEntries(
  inferenceParameters.map(({ name, prior }) => [name, fitted.get(name) ?? prior]),
);
