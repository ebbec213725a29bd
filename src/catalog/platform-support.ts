/**
 * What each platform's toolkit refuses to run: ONNX operators without a kernel and number formats that its chips lack.
 * Knows: refusals with their sources, and the family of error that the real toolkit gives. Does not know: who runs what.
 * Read 2026-11-23. A pool that emulates a platform refuses with these; the sentences are ours, the codes are the toolkit's.
 */
import type { FaultKind, Platform, Precision } from "../spec/vocabulary.ts";

interface PlatformSupport {
  /** Standard operators (opset ≤ 15) that the toolkit's ONNX importer does not register. */
  readonly missingOperators: ReadonlySet<string>;
  readonly precisions: readonly Precision[];
  readonly operatorRefusal: { readonly code: string; readonly source: string };
  readonly precisionRefusal: { readonly code: string; readonly source: string };
  readonly source: string;
}

const toolkit: Record<Exclude<Platform, "cpu">, PlatformSupport> = {
  ascend: {
    missingOperators: new Set([
      ...["Attention", "ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "Gelu", "GroupNormalization"],
      ...["Loop", "MatMulInteger", "NegativeLogLikelihoodLoss", "Optional", "OptionalGetElement", "OptionalHasElement"],
      ...["QLinearConv", "QLinearMatMul", "QuantizeLinear", "RMSNormalization", "RNN", "RotaryEmbedding", "STFT"],
      ...["Scan", "SequenceMap", "StringNormalizer", "Swish", "TensorScatter", "TfIdfVectorizer"],
    ]),
    precisions: ["fp32", "bf16", "fp16"],
    operatorRefusal: {
      code: "EZ3003",
      source: "CANN error code in https://github.com/Ascend/samples/issues/11",
    },
    precisionRefusal: {
      code: "EZ3002",
      source: "CANN error code in https://github.com/vllm-project/vllm-ascend/pull/811",
    },
    source:
      "hicann/ops-nn@e5c3fa93, ops-math@c4193324, ops-cv@6ae87653 framework/*_onnx_plugin.cpp; " +
      "no FP8 on 910B: https://github.com/deepseek-ai/DeepSeek-V3/pull/903",
  },
  nvidia: {
    missingOperators: new Set(),
    precisions: ["fp32", "bf16", "fp16", "fp8"],
    operatorRefusal: {
      code: "ONNXRuntimeError 9 NOT_IMPLEMENTED",
      source: "onnxruntime include/onnxruntime/core/session/onnxruntime_c_api.h OrtErrorCode",
    },
    precisionRefusal: {
      code: "ONNXRuntimeError 9 NOT_IMPLEMENTED",
      source: "onnxruntime include/onnxruntime/core/session/onnxruntime_c_api.h OrtErrorCode",
    },
    source: "onnxruntime docs/OperatorKernels.md, CUDA provider; Hopper data sheet",
  },
};

export interface Refusal {
  readonly kind: Extract<FaultKind, "unsupported-operator" | "unsupported-precision">;
  /** One line, beginning with the toolkit's error code. */
  readonly message: string;
}

export interface Needs {
  readonly operators: readonly string[];
  readonly precision: Precision;
  /** What a pool's `emulate` adds. */
  readonly unsupportedOps: readonly string[];
  readonly precisions?: readonly Precision[] | undefined;
}

/** What the platform refuses of `needs`, empty where it runs all. */
export function refusals(platform: Platform, needs: Needs): readonly Refusal[] {
  const support = platform === "cpu" ? undefined : toolkit[platform];
  const precisions = needs.precisions ?? support?.precisions ?? [needs.precision];
  const found: Refusal[] = [];
  if (!precisions.includes(needs.precision)) {
    const code = support?.precisionRefusal.code ?? "unsupported";
    found.push({
      kind: "unsupported-precision",
      message: `${code}: (emulated ${platform}) no kernel computes in ${needs.precision}; the pool's chips have ${precisions.join(", ")}`,
    });
  }
  const code = support?.operatorRefusal.code ?? "unsupported";
  for (const operator of needs.operators) {
    if (!needs.unsupportedOps.includes(operator) && !support?.missingOperators.has(operator)) continue;
    found.push({
      kind: "unsupported-operator",
      message: `${code}: (emulated ${platform}) operator type ${operator} has neither a kernel nor an engine on the pool's chips`,
    });
  }
  return found;
}
