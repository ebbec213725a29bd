/** A small checkpoint for tests: parameters, state and manifest of a model that need not make sense. */
import { ManifestBody } from "../src/checkpoint/manifest.ts";
import { type FileToWrite, type Published, publishCheckpoint } from "../src/checkpoint/publish.ts";
import { layoutState, type StateParameter, type TrainingState } from "../src/checkpoint/training-state.ts";
import { random } from "../src/spec/random.ts";

export const exampleParameters: readonly StateParameter[] = [
  { name: "model.embed_tokens.weight", shape: [6, 4], moments: true },
  { name: "model.layers.0.mlp.gate.e_score_correction_bias", shape: [3], moments: false },
  { name: "model.norm.weight", shape: [4], moments: true },
];

export function exampleState(seed: number, parameters: readonly StateParameter[] = exampleParameters): TrainingState {
  const draw = (part: string, chosen: readonly StateParameter[]): Map<string, Float32Array> =>
    new Map(
      chosen.map(({ name, shape }) => {
        const source = random(seed, `${part}/${name}`);
        const elements = shape.reduce((product, size) => product * size, 1);
        return [name, Float32Array.from({ length: elements }, () => source.normal())];
      }),
    );
  const trained = parameters.filter(({ moments }) => moments);
  return {
    weights: draw("weights", parameters),
    firstMoments: draw("m", trained),
    secondMoments: draw("v", trained),
  };
}

export function exampleBody(step: number, epoch = 1): ManifestBody {
  return ManifestBody.parse({
    v: 1,
    run: "example",
    epoch,
    step,
    tokensSeen: step * 128,
    model: {
      vocab_size: 6,
      hidden_size: 4,
      intermediate_size: 8,
      num_hidden_layers: 1,
      num_attention_heads: 1,
      kv_lora_rank: 4,
      qk_nope_head_dim: 2,
      qk_rope_head_dim: 2,
      v_head_dim: 2,
    },
    tokenizer: { kind: "byte" },
    schedule: { step, learningRate: 0.001 },
    data: { seed: 7, step },
    device: { platform: "cpu", threads: 1, instructionSet: "avx2", onnxRuntime: "1.30.0", node: "20.20.2" },
    loss: 2.5,
  });
}

/** Both files of a state, as the writer lays them out. */
export function exampleFiles(state: TrainingState, parameters = exampleParameters): readonly FileToWrite[] {
  const layout = layoutState(parameters);
  const slot = new Uint8Array(layout.bytes);
  for (const { part, parameter, begin, elements } of layout.tensors) {
    new Float32Array(slot.buffer, begin, elements).set(state[part].get(parameter) ?? []);
  }
  return layout.files.map(({ name, header, begin, end }) => ({ name, pieces: [header, slot.subarray(begin, end)] }));
}

export function publishExample(folder: string, step: number, epoch = 1, seed = step): Published {
  return publishCheckpoint({
    folder,
    manifest: exampleBody(step, epoch),
    files: exampleFiles(exampleState(seed)),
    durable: false,
  });
}
