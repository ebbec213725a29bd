/**
 * Dumps what a model makes of given prompts, so that it can be compared on a machine that cannot see this one.
 * Knows: which sides can be dumped and in which order. Does not know: the command line, the file's layout (write-trace).
 */
import { BadInput } from "../spec/bad-input.ts";
import { readingOf, repeats, type Text, textsOf } from "./parity/compare-readings.ts";
import { openSide } from "./parity/open-side.ts";
import type { Reading } from "./parity/reading.ts";
import { hashOf } from "./parity/trace-file.ts";
import { checkTraceName, writeTrace } from "./parity/write-trace.ts";
import { readPrompts } from "./read-prompts.ts";

export interface DumpRequest {
  /** A directory, or `onnx:` and a directory. */
  readonly source: string;
  readonly prompts: string;
  readonly answerTokens: number;
  readonly file: string;
  readonly onProgress?: (line: string) => void;
}

/** The command's JSON document. */
export interface DumpReport {
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly source: string;
  readonly contentSha256: string;
  readonly texts: number;
  readonly repeatable: boolean;
}

/** BadInput where the source cannot be dumped or the file is there already; then nothing is written. */
export async function dump(request: DumpRequest): Promise<DumpReport> {
  const { source, file, onProgress = () => undefined } = request;
  checkTraceName(file);
  const prompts = readPrompts(request.prompts);
  const side = await openSide(source);
  try {
    if (side.kind === "trace" || side.kind === "server") {
      throw new BadInput(`${source}: cannot be dumped; give a directory, or onnx: and a directory`);
    }
    const texts = textsOf(side, side, prompts, request.answerTokens);
    const told: { where: string; promptTokens: number; truncated: boolean }[] = [];
    const first = await texts.text(0);
    const repeatable = await repeats(side, first);
    const read = async function* (): AsyncGenerator<Reading> {
      for (let index = 0; index < texts.count; index++) {
        const text: Text = index === 0 ? first : await texts.text(index);
        told.push({
          ...{ where: prompts[index]?.where ?? "", promptTokens: text.promptTokens, truncated: text.truncated },
        });
        yield await readingOf(side, text, index);
        onProgress(`text ${index + 1} of ${texts.count}`);
      }
    };
    const { contentSha256, computedBy, format } = side.about;
    const bytes = await writeTrace(file, read(), () => ({
      ...{ v: 1, source, contentSha256, computedBy, format, config: side.config, repeatable, prompts: told },
    }));
    return { file, bytes, sha256: hashOf(file), source, contentSha256, texts: texts.count, repeatable };
  } finally {
    await side.close();
  }
}
