/** Every graph that the engine emits stays within what ATC and ONNX Runtime's CANN provider read. */
import { describe, expect, test } from "vitest";
import { onnxOperators, uncoveredOperators } from "../catalog/onnx-operators.ts";
import { DeepseekConfig } from "../spec/deepseek-config.ts";
import { deepseekV3 } from "./model/deepseek.ts";
import { operatorSet } from "./onnx.ts";
import { operators } from "./operators/table.ts";

test("the operator table and the catalog list the same operators", () => {
  expect(Object.keys(onnxOperators).sort()).toEqual(Object.keys(operators).sort());
});

describe("all programs of a model with everything switched on", () => {
  const config = DeepseekConfig.parse({
    ...{ vocab_size: 19, hidden_size: 16, intermediate_size: 24, num_hidden_layers: 2, num_attention_heads: 2 },
    ...{ q_lora_rank: 8, kv_lora_rank: 6, qk_nope_head_dim: 4, qk_rope_head_dim: 4, v_head_dim: 4 },
    ...{ n_routed_experts: 8, n_group: 4, topk_group: 2, num_experts_per_tok: 2, moe_intermediate_size: 8 },
    ...{ n_shared_experts: 1, first_k_dense_replace: 1, num_nextn_predict_layers: 1, routed_scaling_factor: 2.5 },
  });
  const model = deepseekV3(config);
  const shape = { microBatch: 2, seqLength: 8, mtpLossWeight: 0.3 };
  const programs = {
    grad: model.grad(shape),
    "grad with a fixed capacity": model.grad({ ...shape, expertCapacityFactor: 1.25 }),
    ...{ logprob: model.logprob(), prefill: model.prefill(), decode: model.decode() },
    "static logprob": model.logprob({ batch: 2, length: 8 }),
    "static prefill": model.prefill({ batch: 2, length: 8 }),
    "static decode": model.decode({ batch: 2, past: 16 }),
  };
  test.each(Object.entries(programs))("%s", (_, program) => {
    expect(program.operators.length).toBeGreaterThan(20);
    expect(uncoveredOperators(program.operators, operatorSet)).toEqual([]);
    expect(program.operators.filter((op) => op.startsWith("ScatterND"))).toEqual([]);
  });

  test.each(["static logprob", "static prefill", "static decode"] as const)(
    "%s asks for no size at run time",
    (name) => {
      for (const op of ["Shape", "Range"]) expect(programs[name].operators).not.toContain(op);
    },
  );
});
