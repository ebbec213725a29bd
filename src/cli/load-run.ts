/**
 * Reads a run file with everything that can be wrong before a process is started: keys, sizes, text, tokenizer.
 * Knows: what each part refuses. Does not know: run directories, what is done with the run.
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { checkCorpus } from "../engine/corpus.ts";
import { findTextFiles, resolveData } from "../engine/corpus-files.ts";
import { deepseekV3 } from "../engine/model/deepseek.ts";
import { fileKind } from "../host/file-kind.ts";
import { BadInput } from "../spec/bad-input.ts";
import { isEngineRun, isProgramRun } from "../spec/run-file.ts";
import { readJournal } from "../store/journal-file.ts";
import { type ReadRunFile, readRunFile } from "../store/read-run-file.ts";
import { runFolders } from "../store/run-directory.ts";
import { checkProgram } from "./check-program.ts";

export interface LoadedRun extends ReadRunFile {
  /** Whether a run's directory was named, whose own copy of the run file was read. */
  readonly isDirectory: boolean;
  /** Trained values, the routing biases included; of a program unknown. */
  readonly parameters: number | undefined;
  /** Tokens and the entropy of single ones (nats); absent where the text is too large to read just to check it. */
  readonly corpus: { readonly tokens: number; readonly unigramEntropy: number } | undefined;
}

const checkedBytesMax = 64 * 2 ** 20;

/** The run with absolute paths of its data. BadInput names everything that is wrong; nothing is changed. `whole` reads the text however large it is. */
export function loadRun(given: string, { whole = false }: { whole?: boolean } = {}): LoadedRun {
  const run = readRunFile(given);
  const { file } = run;
  const isDirectory = fileKind(given) === "folder";
  // A run's own copy of its run file was written elsewhere, and the paths in it start there.
  const folder = isDirectory ? (originOf(run.folder) ?? run.folder) : run.folder;
  if (isProgramRun(file)) {
    checkProgram(file, folder);
    return { ...run, folder, isDirectory, parameters: undefined, corpus: undefined };
  }
  if (!isEngineRun(file)) throw new BadInput(`${given}: has neither model, data and train nor program; give one`);
  const data = resolveData(file.data, folder);
  const bytes = findTextFiles(data.text.files).reduce((sum, found) => sum + found.bytes, 0);
  const needs = { data, seqLength: file.train.seqLength, model: file.model };
  const corpus = whole || bytes <= checkedBytesMax ? checkCorpus(needs) : undefined;
  if (file.port.prompts !== undefined) checkPrompts(resolve(folder, file.port.prompts), file.port.prompts);
  const parameters = deepseekV3(file.model).parameters.reduce(
    (sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1),
    0,
  );
  return { ...run, file: { ...file, data }, folder, isDirectory, parameters, corpus };
}

function originOf(dir: string): string | undefined {
  const { journal } = runFolders(dir);
  return existsSync(journal) ? readJournal(journal).state.created?.folder : undefined;
}

function checkPrompts(path: string, shown: string): void {
  if (fileKind(path) === "file") return;
  throw new BadInput(`port.prompts: ${shown}: no such file; name one with a prompt a line, or leave the key out`);
}
