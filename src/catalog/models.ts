/**
 * The models that dualgauge knows by name, as architectures with their published parameter counts.
 * Knows: presets and every spelling of them. Does not know: files; a config.json is read by spec/hugging-face-config.ts.
 */
import type { Architecture } from "../spec/architecture.ts";
import { BadInput, didYouMean } from "../spec/bad-input.ts";
import { type ModelRow, modelRows, type Shape } from "./data/models.ts";

export interface ModelPreset {
  readonly id: string;
  readonly spellings: readonly string[];
  /** Published counts, for comparison only; dualgauge counts from the shape. */
  readonly publishedTotal: number | null;
  readonly publishedActive: number | null;
  readonly source: string;
  /** Parsed on first use, so that listing names costs nothing. */
  readonly architecture: () => Architecture;
}

/** The full architecture of a compact shape: what is not said is as in Llama. */
export function architectureFromShape(name: string, s: Shape): Architecture {
  const [experts = 0, expertsPerToken = 0, expertFfn = 0, sharedFfn = 0, denseLayers = 0, everyLayers = 1] =
    s.moe ?? [];
  const [groupsPerToken = 0, groups = 1, latent = 0] = s.moe?.slice(6) ?? [];
  const [queryRank = 0, keyValueRank = 0, nopeHeadDim = 0, ropeHeadDim = 0, valueHeadDim = 0] = s.mla ?? [];
  const [layers = 0, inputWidth = 0, outputWidth = 0, stateWidth = 0, separateMlpLayers = 0] = s.recurrent ?? [];
  return {
    name,
    layers: s.layers,
    hidden: s.hidden,
    ffn: s.ffn ?? 0,
    heads: s.heads,
    kvHeads: s.kvHeads ?? s.heads,
    headDim: s.mla ? nopeHeadDim + ropeHeadDim : (s.headDim ?? s.hidden / s.heads),
    vocab: s.vocab,
    gated: s.gated ?? true,
    tiedEmbeddings: s.tied ?? false,
    learnedPositions: s.positions ?? 0,
    bias: s.bias ?? "none",
    norm: s.norm ?? "rms",
    normsPerLayer: s.norms ?? 2,
    queryKeyNorm: s.qkNorm ?? false,
    window: s.window ?? 0,
    windowLayers: s.windowLayers ?? 0,
    moe: s.moe
      ? { experts, expertsPerToken, expertFfn, sharedFfn, denseLayers, everyLayers, groupsPerToken, groups, latent }
      : null,
    mla: s.mla ? { queryRank, keyValueRank, nopeHeadDim, ropeHeadDim, valueHeadDim } : null,
    recurrent: s.recurrent ? { layers, inputWidth, outputWidth, stateWidth, separateMlpLayers } : null,
    mtpLayers: s.mtp ?? 0,
  };
}

function preset([id, spellings, shape, publishedTotal, publishedActive, source]: ModelRow): ModelPreset {
  let parsed: Architecture | undefined;
  return {
    id,
    spellings,
    publishedTotal,
    publishedActive,
    source,
    architecture: () => {
      parsed ??= architectureFromShape(id, shape);
      return parsed;
    },
  };
}

export const models: readonly ModelPreset[] = modelRows.map(preset);

const plain = (spelling: string): string =>
  spelling
    .toLowerCase()
    .replace(/[^a-z0-9.]/g, "")
    .replace(/\./g, "p");

const bySpelling = new Map<string, ModelPreset>();
for (const known of models)
  for (const spelling of [known.id, ...known.spellings]) {
    const key = plain(spelling);
    if (!bySpelling.has(key)) bySpelling.set(key, known);
  }

/** The preset under any spelling (case and punctuation do not matter), or undefined. */
export function findModel(spelling: string): ModelPreset | undefined {
  return bySpelling.get(plain(spelling));
}

/** The preset under any spelling; an unknown one is BadInput that names the nearest known. */
export function requireModel(spelling: string, where: string): ModelPreset {
  const found = findModel(spelling);
  if (found) return found;
  const shown = spelling.slice(0, 60);
  const near =
    didYouMean(
      shown,
      models.map(({ id }) => id),
    ) || "; list them with dualgauge catalog models";
  throw new BadInput(`${where}: unknown model ${shown}${near}, or give a config.json`);
}
