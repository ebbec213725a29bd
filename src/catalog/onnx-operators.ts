/**
 * The ONNX operators that the engine emits, and which operator sets Huawei's compilers read them at.
 * Knows: Ascend's ATC and ONNX Runtime's CANN provider, dated and sourced. Does not know: graphs.
 *
 * ATC: the `ai.onnx::<set>::<operator>` registrations of framework/*_onnx_plugin.cpp in hicann/ops-nn @e5c3fa93 and
 * hicann/ops-math @c4193324 (read 2026-11-23). CANN provider: the operator list of cann_graph.cc @89e47161 and the model-wide
 * bound of sets 8 to 15 in microsoft/onnxruntime (read 2026-11-23). A shipped CANN build may differ from its sources, and a
 * registration says nothing about element types.
 */

export interface OnnxOperatorCoverage {
  /** First and last operator set at which ATC reads it. */
  readonly atc: readonly [first: number, last: number];
  /** Where ATC registers it. */
  readonly atcSource: string;
  /** First and last operator set at which ONNX Runtime's CANN provider takes it into a graph. */
  readonly cannProvider: readonly [first: number, last: number];
}

const cannProvider = [8, 15] as const;
const nn = (path: string) => `hicann/ops-nn:${path}`;
const math = (path: string) => `hicann/ops-math:${path}`;

export const onnxOperators: Readonly<Record<string, OnnxOperatorCoverage>> = {
  Add: { atc: [8, 18], atcSource: math("common/src/framework/similar_opp_onnx_plugin.cpp"), cannProvider },
  Cast: { atc: [8, 18], atcSource: math("math/cast/framework/cast_onnx_plugin.cpp"), cannProvider },
  Concat: { atc: [8, 18], atcSource: math("conversion/concat/framework/concat_onnx_plugin.cpp"), cannProvider },
  Cos: { atc: [8, 18], atcSource: math("common/src/framework/similar_opp_onnx_plugin.cpp"), cannProvider },
  CumSum: { atc: [8, 18], atcSource: math("math/cumsum/framework/cumsum_onnx_plugin.cpp"), cannProvider },
  Div: { atc: [8, 18], atcSource: math("common/src/framework/similar_opp_onnx_plugin.cpp"), cannProvider },
  Equal: { atc: [8, 18], atcSource: math("common/src/framework/similar_opp_onnx_plugin.cpp"), cannProvider },
  Exp: { atc: [8, 18], atcSource: math("common/src/framework/similar_opp_onnx_plugin.cpp"), cannProvider },
  Expand: { atc: [8, 18], atcSource: math("common/src/framework/similar_opp_onnx_plugin.cpp"), cannProvider },
  Gather: { atc: [8, 18], atcSource: nn("index/gather_v2/framework/gather_onnx_plugin.cpp"), cannProvider },
  GatherElements: {
    atc: [8, 18],
    atcSource: nn("index/gather_elements/framework/gather_elements_onnx_plugin.cpp"),
    cannProvider,
  },
  Gemm: { atc: [8, 18], atcSource: nn("common/src/framework/gemm_onnx_plugin.cpp"), cannProvider },
  Greater: { atc: [8, 18], atcSource: math("common/src/framework/similar_opp_onnx_plugin.cpp"), cannProvider },
  Identity: { atc: [8, 18], atcSource: math("common/src/framework/similar_opp_onnx_plugin.cpp"), cannProvider },
  Less: { atc: [8, 18], atcSource: math("common/src/framework/similar_opp_onnx_plugin.cpp"), cannProvider },
  Log: { atc: [8, 18], atcSource: math("common/src/framework/similar_opp_onnx_plugin.cpp"), cannProvider },
  LogSoftmax: {
    atc: [8, 18],
    atcSource: nn("activation/log_softmax_v2/framework/logsoftmax_onnx_plugin.cpp"),
    cannProvider,
  },
  MatMul: { atc: [8, 18], atcSource: nn("matmul/mat_mul_v3/framework/matmul_onnx_plugin.cpp"), cannProvider },
  Mul: { atc: [8, 18], atcSource: math("common/src/framework/similar_opp_onnx_plugin.cpp"), cannProvider },
  Neg: { atc: [8, 18], atcSource: math("common/src/framework/similar_opp_onnx_plugin.cpp"), cannProvider },
  OneHot: { atc: [9, 18], atcSource: math("math/one_hot/framework/onehot_onnx_plugin.cpp"), cannProvider },
  Range: { atc: [8, 18], atcSource: math("common/src/framework/similar_opp_onnx_plugin.cpp"), cannProvider },
  Reciprocal: { atc: [8, 18], atcSource: math("common/src/framework/similar_opp_onnx_plugin.cpp"), cannProvider },
  ReduceMax: { atc: [8, 18], atcSource: math("math/reduce_max/framework/reduce_max_onnx_plugin.cpp"), cannProvider },
  ReduceMean: { atc: [8, 18], atcSource: math("math/reduce_mean/framework/reduce_mean_onnx_plugin.cpp"), cannProvider },
  ReduceSum: { atc: [8, 18], atcSource: math("math/reduce_sum/framework/reduce_sum_onnx_plugin.cpp"), cannProvider },
  Reshape: { atc: [8, 18], atcSource: math("conversion/reshape/framework/reshape_onnx_plugin.cpp"), cannProvider },
  ScatterElements: {
    atc: [11, 18],
    atcSource: nn("index/scatter_elements/framework/scatter_elements_onnx_plugin.cpp"),
    cannProvider,
  },
  Shape: { atc: [8, 18], atcSource: math("math/shape/framework/shape_onnx_plugin.cpp"), cannProvider },
  Sigmoid: { atc: [8, 18], atcSource: math("common/src/framework/similar_opp_onnx_plugin.cpp"), cannProvider },
  Sin: { atc: [8, 18], atcSource: math("common/src/framework/similar_opp_onnx_plugin.cpp"), cannProvider },
  Slice: { atc: [8, 18], atcSource: math("conversion/strided_slice_v2/framework/slice_onnx_plugin.cpp"), cannProvider },
  Softmax: { atc: [8, 18], atcSource: nn("activation/softmax_v2/framework/softmax_onnx_plugin.cpp"), cannProvider },
  Split: { atc: [8, 18], atcSource: math("conversion/split_d/framework/split_onnx_plugin.cpp"), cannProvider },
  Sqrt: { atc: [8, 18], atcSource: math("common/src/framework/similar_opp_onnx_plugin.cpp"), cannProvider },
  Sub: { atc: [8, 18], atcSource: math("common/src/framework/similar_opp_onnx_plugin.cpp"), cannProvider },
  TopK: { atc: [8, 18], atcSource: nn("common/src/framework/topk_onnx_plugin.cpp"), cannProvider },
  Transpose: {
    atc: [8, 18],
    atcSource: math("conversion/transpose/framework/transpose_onnx_plugin.cpp"),
    cannProvider,
  },
  Where: { atc: [8, 18], atcSource: math("common/src/framework/similar_opp_onnx_plugin.cpp"), cannProvider },
};

/** One line for each of `operators` that either compiler does not read at operator set `set`; empty where all is covered. */
export function uncoveredOperators(operators: readonly string[], set: number): string[] {
  const within = ([first, last]: readonly [number, number]): boolean => first <= set && set <= last;
  return operators.flatMap((name) => {
    const known = Object.hasOwn(onnxOperators, name) ? onnxOperators[name] : undefined;
    if (!known) return [`${name}: not in the catalog of covered operators`];
    const problems: string[] = [];
    if (!within(known.atc)) problems.push(`${name}: ATC reads it at sets ${known.atc.join(" to ")}, not ${set}`);
    if (!within(known.cannProvider)) {
      problems.push(`${name}: the CANN provider takes sets ${known.cannProvider.join(" to ")}, not ${set}`);
    }
    return problems;
  });
}
