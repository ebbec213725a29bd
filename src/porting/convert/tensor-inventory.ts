/**
 * Whether the tensors are those of the model that the configuration describes: embedding, layers, experts.
 * Knows: Hugging Face's names. Does not know: files, scales.
 */
import type { Architecture } from "../../spec/architecture.ts";
import { BadInput } from "../../spec/bad-input.ts";
import { badTensor, type ModelSource } from "./model-source.ts";

/** BadInput when a layer or an expert is missing or too many, or the embedding has another size. */
export function checkAgainstConfig(source: ModelSource, architecture: Architecture): void {
  const { given, tensors } = source;
  const embedding = tensors.find(({ name }) => name === "model.embed_tokens.weight");
  if (!embedding) {
    throw new BadInput(
      `${given}: tensor "model.embed_tokens.weight" is missing; give a language model with all its files`,
    );
  }
  const size = [architecture.vocab, architecture.hidden];
  if (embedding.shape.join() !== size.join()) {
    throw badTensor(
      given,
      embedding,
      `is [${embedding.shape}], config.json says [${size}]`,
      "put configuration and weights of one model together",
    );
  }
  const experts = new Map<number, Set<number>>();
  const norms = new Set<number>();
  const last = architecture.layers + architecture.mtpLayers;
  for (const tensor of tensors) {
    const match = /^model\.layers\.(\d{1,5})\.(?:(input_layernorm\.weight)$|.*\.experts\.(\d{1,5})\.)?/.exec(
      tensor.name,
    );
    if (!match) continue;
    const layer = Number(match[1]);
    if (layer >= last)
      throw badTensor(given, tensor, `config.json has layers 0 to ${last - 1} only`, "mend config.json");
    if (match[2]) norms.add(layer);
    if (match[3] === undefined) continue;
    const inLayer = experts.get(layer) ?? new Set();
    experts.set(layer, inLayer.add(Number(match[3])));
  }
  for (let layer = 0; layer < architecture.layers; layer++) {
    if (norms.has(layer)) continue;
    throw new BadInput(
      `${given}: tensor "model.layers.${layer}.input_layernorm.weight" is missing; download what is not there yet`,
    );
  }
  checkExperts(given, experts, architecture);
}

function checkExperts(given: string, experts: ReadonlyMap<number, ReadonlySet<number>>, { moe }: Architecture): void {
  for (const [layer, found] of experts) {
    const wanted = moe?.experts ?? 0;
    const missing = Array.from({ length: wanted }, (_, expert) => expert).find((expert) => !found.has(expert));
    if (found.size === wanted && missing === undefined) continue;
    throw new BadInput(
      `${given}: layer ${layer} has ${found.size} experts, config.json says ${wanted}; ` +
        (missing === undefined
          ? "mend config.json"
          : `download what holds "model.layers.${layer}.mlp.experts.${missing}"`),
    );
  }
}
