/**
 * What Ascend chips and toolkits have of what a ported checkpoint needs: number formats, operators, versions that go together.
 * Knows: facts with their sources, read 2026-11-23. Does not know: checkpoints, who asks.
 * Operators: DataType()/AddConfig("<chip>") of *_def.cpp in hicann/ops-nn@e5c3fa93 and hicann/ops-transformer@c29bc106 (November 2025,
 * older than the others). A registration in source says nothing of when a released toolkit got it.
 */

export const ascendChips = [
  "ascend910b",
  "ascend910_93",
  "ascend950",
  "ascend310p",
  "ascend310b",
  "ascend910",
] as const;
export type AscendChip = (typeof ascendChips)[number];

interface ChipFacts {
  readonly product: string;
  readonly bfloat16: boolean;
  /** vLLM-Ascend runs on it: vllm-project/vllm-ascend @182b75ea, docs/source. */
  readonly served: boolean;
}

export const chipFacts: Readonly<Record<AscendChip, ChipFacts>> = {
  ascend910b: { product: "Atlas A2 (910B1 to 910B4)", bfloat16: true, served: true },
  ascend910_93: { product: "Atlas A3 (910C)", bfloat16: true, served: true },
  ascend950: { product: "Ascend 950 (A5)", bfloat16: true, served: true },
  ascend310p: { product: "Atlas 300I Duo, 300I Pro", bfloat16: false, served: true },
  ascend310b: { product: "Atlas 200I, 500 A2", bfloat16: false, served: false },
  ascend910: { product: "Atlas 800 (910A), 910ProB", bfloat16: false, served: false },
};

const a2a3 = ["ascend910b", "ascend910_93"] as const;
const a2a3a5 = [...a2a3, "ascend950"] as const;

export interface ServingOperator {
  readonly name: string;
  /** Chips for which it is registered. */
  readonly chips: readonly AscendChip[];
  readonly neededFor: "all" | "experts" | "latent-attention" | "w8a8" | "w8a8-experts";
  readonly source: string;
}

const nn = (path: string): string => `hicann/ops-nn:${path}`;
const transformer = (path: string): string => `hicann/ops-transformer:${path}`;

/** The operators that serving runs its layers with. */
export const servingOperators: readonly ServingOperator[] = [
  {
    ...{ name: "RmsNorm", chips: [...a2a3a5, "ascend310p", "ascend910"], neededFor: "all" },
    source: nn("norm/rms_norm/op_host/rms_norm_def.cpp"),
  },
  {
    ...{ name: "MatMulV3", chips: [...a2a3a5, "ascend310p"], neededFor: "all" },
    source: nn("matmul/mat_mul_v3/op_host/mat_mul_v3_def.cpp"),
  },
  {
    ...{ name: "SwiGlu", chips: [...a2a3a5, "ascend310p"], neededFor: "all" },
    source: nn("activation/swi_glu/op_host/swi_glu_def.cpp"),
  },
  {
    ...{ name: "GroupedMatmul", chips: [...a2a3, "ascend310p"], neededFor: "experts" },
    source: transformer("gmm/grouped_matmul/op_host/grouped_matmul_def.cpp"),
  },
  {
    ...{ name: "MoeGatingTopK", chips: a2a3a5, neededFor: "experts" },
    source: transformer("moe/moe_gating_top_k/op_host/moe_gating_top_k_def.cpp (910_95 is the 950)"),
  },
  {
    ...{ name: "MoeFinalizeRoutingV2", chips: a2a3a5, neededFor: "experts" },
    source: transformer("moe/moe_finalize_routing_v2/op_host/moe_finalize_routing_v2_def.cpp (910_95 is the 950)"),
  },
  {
    ...{ name: "InterleaveRope", chips: a2a3, neededFor: "latent-attention" },
    source: transformer("posembedding/interleave_rope/op_host/interleave_rope_def.cpp"),
  },
  {
    ...{ name: "DynamicQuant", chips: [...a2a3a5, "ascend310p", "ascend910"], neededFor: "w8a8" },
    source: nn("quant/dynamic_quant/op_host/dynamic_quant_def.cpp"),
  },
  {
    ...{ name: "QuantBatchMatmulV3", chips: [...a2a3a5, "ascend310p"], neededFor: "w8a8" },
    source: nn("matmul/quant_batch_matmul_v3/op_host/quant_batch_matmul_v3_def.cpp"),
  },
  {
    ...{ name: "DequantSwigluQuant", chips: a2a3a5, neededFor: "w8a8-experts" },
    source: nn("quant/dequant_swiglu_quant/op_host/dequant_swiglu_quant_def.cpp"),
  },
];

/** Toolkits that a release of vLLM-Ascend is built on, newest first: docs/source/community/versioning_policy.md @182b75ea. */
export const toolkitReleases: readonly { readonly cann: string; readonly vllmAscend: string }[] = [
  { cann: "9.1.0", vllmAscend: "0.23.0" },
  { cann: "9.0.1", vllmAscend: "0.23.0rc1" },
  { cann: "9.0.0", vllmAscend: "0.22.1rc1" },
  { cann: "8.5.1", vllmAscend: "0.18.0" },
  { cann: "8.5.0", vllmAscend: "0.15" },
  { cann: "8.3.RC2", vllmAscend: "0.11.0" },
  { cann: "8.2.RC1", vllmAscend: "0.10.x" },
  { cann: "8.1.RC1", vllmAscend: "0.7.3" },
  { cann: "8.0.0", vllmAscend: "0.8.4rc2" },
];

/** The toolkit from which the registrations above are known: the sources are newer than any earlier release. */
export const operatorsKnownFrom = "9.0.0";
