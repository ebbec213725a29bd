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

const memories = (
  [
    ["ampere", 0.85],
    ["hopper", 0.85],
    ["ada", 0.85],
    ["blackwell", 0.8],
    ["cdna", 0.7],
    ["ascend", 0.7],
  ] as const
).map(([chip, prior]) =>
  parameter(`memory.${chip}`, prior, 0.06, "share of memory bandwidth that weights and cache reach"),
);

const attention = (
  [
    ["ampere", 0.5],
    ["hopper", 0.45],
    ["ada", 0.5],
    ["blackwell", 0.4],
    ["cdna", 0.3],
    ["ascend", 0.4],
  ] as const
).map(([chip, prior]) =>
  parameter(`attention.${chip}`, prior, 0.25, "share of the 16-bit peak that attention reaches"),
);

const links = (
  [
    ["nvlink", 0.7, 8e-6],
    ["pcie", 0.5, 2e-5],
    ["xgmi", 0.6, 1.5e-5],
    ["hccs", 0.6, 1.5e-5],
  ] as const
).flatMap(([link, share, latency]) => [
  parameter(`link.${link}.share`, share, 0.3, "share of the link's one-way rate that collectives reach"),
  parameter(`link.${link}.latency`, latency, 0.5, "seconds of a collective per doubling of ranks, payload apart"),
]);

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

const engines = engineFamilies.flatMap((engine) => [
  parameter(`engine.${engine}.step`, 1.5e-3, 0.8, "host seconds per step"),
  parameter(
    `engine.${engine}.layer`,
    engine === "vllm-ascend-2025" ? 3e-4 : engine === "vllm-ascend" ? 4e-5 : 8e-6,
    0.8,
    "launch and tail seconds per layer",
  ),
  parameter(`engine.${engine}.sequence`, 6e-6, 1, "host seconds per running sequence and step"),
  parameter(`engine.${engine}.promptToken`, 1e-6, 1.2, "host seconds per prompt token"),
  parameter(`engine.${engine}.request`, 3e-4, 1.5, "host seconds to take in one request"),
  parameter(
    `engine.${engine}.reserve`,
    engine === "vllm-2024" ? 8 : 3,
    0.5,
    "GiB per device for activations, graphs and the runtime",
  ),
]);

/** Engines and chips that published runs join: kernels are written per generation, so their quality belongs to the pair. */
const kernels = (
  [
    ["trtllm", ["hopper", "blackwell", "ada"]],
    ["trtllm-serve", ["ampere", "hopper"]],
    ["vllm-2024", ["hopper", "cdna"]],
    ["vllm", ["ampere", "hopper", "ada", "blackwell", "cdna"]],
    ["sglang", ["ampere", "hopper"]],
    ["mindie", ["ascend"]],
    ["vllm-ascend-2025", ["ascend"]],
    ["vllm-ascend", ["ascend"]],
    ["disaggregated", ["hopper", "blackwell", "ascend"]],
  ] as const
).flatMap(([engine, chipsOfEngine]) =>
  chipsOfEngine.map((chip) =>
    parameter(`kernels.${engine}.${chip}`, 0.9, 0.3, "matrix and attention rate over that of TensorRT engines"),
  ),
);

export const inferenceParameters: readonly InferenceParameter[] = [
  ...chips,
  ...memories,
  ...attention,
  ...links,
  ...engines,
  ...kernels,
  parameter("attention.cache", 0.9, 0.06, "share of the weights' bandwidth that cache reads reach"),
  parameter("experts.compute", 0.75, 0.3, "grouped matrix rate over dense matrix rate"),
  parameter(
    "experts.independence",
    0.7,
    0.3,
    "share of a batch's tokens that pick experts independently of the others",
  ),
  parameter("experts.pad", 16, 0.8, "tokens lost to tiles per active expert"),
  parameter("experts.imbalance", 1.3, 0.2, "load of the busiest expert rank over the mean, up to 8 ranks"),
  parameter("experts.imbalanceWide", 1.15, 0.05, "the same with redundant experts on more ranks"),
  parameter("dense.pad", 16, 0.8, "tokens lost to tiles per dense matrix"),
  parameter("fp8.block", 0.75, 0.25, "rate of block-scaled FP8 matrices over per-tensor ones"),
  parameter("weightOnly", 0.7, 0.3, "rate of weight-only kernels over their 16-bit rate"),
  parameter("vectors.passes", 10, 0.5, "memory passes of a hidden vector per layer between matrices"),
  parameter("speculative.acceptance", 0.6, 0.2, "chance that a drafted token survives, given that those before it did"),
  parameter("layer.eager", 4e-4, 0.5, "launch seconds per layer where no graph was captured"),
  parameter("experts.launches", 1, 0.5, "layers that the kernels of a mixture layer count for besides its own"),
  parameter("indexer.launches", 1, 0.7, "the same of a sparse-attention indexer"),
  parameter("indexer.passes", 30, 0.7, "memory passes per layer and token of a sparse-attention indexer"),
  parameter("host.overlapped", 0.6, 0.4, "host seconds that remain visible under asynchronous scheduling"),
  parameter("network.latency", 6e-5, 0.3, "seconds of an all-to-all between nodes, payload apart"),
  parameter("unhidden", 0.4, 0.4, "share of the smaller of compute and memory time that is not hidden"),
  parameter("exposed", 0.6, 0.3, "share of expert all-to-all that is always visible"),
  parameter("hidden", 0.5, 0.3, "share of a wide group's compute that all-to-alls hide behind"),
  parameter("network.share", 0.8, 0.15, "share of the network rate that all-to-alls reach"),
];

export type InferenceConstants = Readonly<Record<string, number>>;

const fitted = new Map(inferenceFit.names.map((name, index) => [name, inferenceFit.values[index]] as const));

/** The constants committed with this version, fitted to all published runs; a constant without a fit has its prior. */
export const inferenceConstants: InferenceConstants = Object.fromEntries(
  inferenceParameters.map(({ name, prior }) => [name, fitted.get(name) ?? prior]),
);
