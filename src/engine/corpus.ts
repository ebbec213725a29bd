/**
 * A tokenised corpus in one file, read by position: what the data of a run is after the first look at it.
 * Knows: the token file and its description. Does not know: which window a step reads (batch-order).
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { BadInput } from "../spec/bad-input.ts";
import type { DataSource } from "../spec/run-file.ts";
import { findTextFiles, type TextFile } from "./corpus-files.ts";
import { tokeniseFiles } from "./tokenise.ts";
import { openTokenizer, type Tokenizer } from "./tokenizer.ts";
import { appendAll, writeWhole } from "./write-whole.ts";

const Description = z.strictObject({
  v: z.literal(1),
  /** Of what the tokens were made from: paths, sizes, times. */
  source: z.string(),
  /** SHA-256 of the token file: the same data, however often it is tokenised anew. */
  sha256: z.string(),
  tokens: z.int().nonnegative(),
  bytesPerToken: z.union([z.literal(2), z.literal(4)]),
  /** Entropy of single tokens in nats: what a model that knows only frequencies would reach. */
  unigramEntropy: z.number().nonnegative(),
});
type Description = z.infer<typeof Description>;

export interface Corpus {
  readonly tokens: number;
  readonly trainTokens: number;
  /** The rest, from `trainTokens` to the end. */
  readonly validationTokens: number;
  readonly unigramEntropy: number;
  readonly sha256: string;
  /** Token ids from `position` on as int64 (low word first) into `into`. */
  read(position: number, into: BigInt64Array): void;
  close(): void;
}

export interface CorpusNeeds {
  /** With absolute paths (`resolveData`). */
  readonly data: DataSource;
  readonly seqLength: number;
  readonly model: { vocab_size: number; bos_token_id?: number | undefined; eos_token_id?: number | undefined };
}

/**
 * Opens the corpus in `cacheFolder`, tokenising it first where that was not done. BadInput for files that are missing or
 * hold nothing, a corpus shorter than a sequence, a tokenizer larger than the vocabulary, and data that changed during the run.
 */
export function openCorpus(needs: CorpusNeeds, cacheFolder: string): Corpus {
  const { text } = needs.data;
  const files = findTextFiles(text.files);
  const source = digestSource(files, text.tokenizer);
  const known = readDescription(cacheFolder);
  const path = join(cacheFolder, "corpus.tokens");
  const isThere =
    known?.source === source && existsSync(path) && statSync(path).size === known.tokens * known.bytesPerToken;
  const description = isThere ? known : tokeniseInto(cacheFolder, path, needs, files, source, known);
  const validationTokens = checkLength(description.tokens, needs);
  return openTokens(path, description, description.tokens - validationTokens);
}

/** Reads and tokenises everything and keeps nothing: what `openCorpus` would refuse is refused here. */
export function checkCorpus(needs: CorpusNeeds): { tokens: number; unigramEntropy: number } {
  const files = findTextFiles(needs.data.text.files);
  const { tokens, unigramEntropy } = tokeniseFiles(files, fittingTokenizer(needs), () => undefined, 2);
  checkLength(tokens, needs);
  return { tokens, unigramEntropy };
}

function digestSource(files: readonly TextFile[], tokenizer: string): string {
  const sha = createHash("sha256").update(JSON.stringify(files.map(Object.values)));
  if (tokenizer !== "byte" && existsSync(tokenizer)) sha.update(readFileSync(tokenizer));
  return sha.update(tokenizer).digest("hex");
}

function fittingTokenizer({ data, model }: CorpusNeeds): Tokenizer {
  const tokenizer = openTokenizer(data.text.tokenizer, model);
  if (tokenizer.vocabularySize > model.vocab_size) {
    throw new BadInput(
      `data.text.tokenizer: ${data.text.tokenizer} has ids up to ${tokenizer.vocabularySize - 1}, but model.vocab_size is ` +
        `${model.vocab_size}; set vocab_size to at least ${tokenizer.vocabularySize}`,
    );
  }
  return tokenizer;
}

function checkLength(tokens: number, { data, seqLength }: CorpusNeeds): number {
  if (tokens === 0) throw new BadInput("data.text.files: the files hold no text; give some");
  const validationTokens = Math.floor(tokens * data.text.validationShare);
  if (tokens - validationTokens <= seqLength) {
    throw new BadInput(
      `data.text.files: ${tokens} tokens, but one sequence takes ${seqLength + 1}; give more text or lower train.seqLength`,
    );
  }
  if (validationTokens <= seqLength) {
    throw new BadInput(
      `data.text.validationShare: ${validationTokens} of ${tokens} tokens, but one sequence takes ${seqLength + 1}; ` +
        "give more text, raise validationShare or lower train.seqLength",
    );
  }
  return validationTokens;
}

function readDescription(folder: string): Description | undefined {
  const path = join(folder, "corpus.json");
  if (!existsSync(path)) return undefined;
  try {
    return Description.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    throw new BadInput(`${path}: not a corpus description; remove it, and the corpus is read anew`);
  }
}

function tokeniseInto(
  folder: string,
  path: string,
  needs: CorpusNeeds,
  files: readonly TextFile[],
  source: string,
  known: Description | undefined,
): Description {
  const tokenizer = fittingTokenizer(needs);
  const bytesPerToken = tokenizer.vocabularySize <= 65_536 ? 2 : 4;
  mkdirSync(folder, { recursive: true });
  const temporary = `${path}.${process.pid}`;
  const sha = createHash("sha256");
  const fd = openSync(temporary, "w");
  try {
    const { tokens, unigramEntropy } = tokeniseFiles(
      files,
      tokenizer,
      (piece) => {
        sha.update(piece);
        appendAll(fd, piece);
      },
      bytesPerToken,
    );
    const sha256 = sha.digest("hex");
    if (known !== undefined && known.sha256 !== sha256) {
      throw new BadInput(
        "data.text.files: the text changed since the run began; restore it, or start anew with another --dir",
      );
    }
    const description: Description = { v: 1, source, sha256, tokens, bytesPerToken, unigramEntropy };
    checkLength(tokens, needs);
    renameSync(temporary, path);
    writeWhole(join(folder, "corpus.json"), JSON.stringify(description));
    return description;
  } finally {
    closeSync(fd);
    rmSync(temporary, { force: true });
  }
}

function openTokens(path: string, description: Description, trainTokens: number): Corpus {
  const { tokens, bytesPerToken, unigramEntropy, sha256 } = description;
  const fd = openSync(path, "r");
  let raw = Buffer.alloc(0);
  return {
    ...{ tokens, trainTokens, validationTokens: tokens - trainTokens, unigramEntropy, sha256 },
    read(position, into) {
      const bytes = into.length * bytesPerToken;
      if (raw.length !== bytes) raw = Buffer.alloc(bytes);
      for (let done = 0; done < bytes; ) {
        const got = readSync(fd, raw, done, bytes - done, position * bytesPerToken + done);
        if (got === 0) throw new RangeError(`token ${position + into.length} of ${tokens}`);
        done += got;
      }
      // A view in words instead of a BigInt per token.
      const words = new Uint32Array(into.buffer, into.byteOffset, into.length * 2);
      for (let i = 0; i < into.length; i++) {
        words[2 * i] = bytesPerToken === 2 ? raw.readUInt16LE(2 * i) : raw.readUInt32LE(4 * i);
        words[2 * i + 1] = 0;
      }
    },
    close: () => closeSync(fd),
  };
}
