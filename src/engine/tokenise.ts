/**
 * Turns text files into one stream of token ids, in bounded memory.
 * Knows: .txt (one document), .jsonl (one document a line, field `text`), special tokens around a document.
 * Does not know: where the ids go.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { BadInput } from "../spec/bad-input.ts";
import type { TextFile } from "./corpus-files.ts";
import type { Tokenizer } from "./tokenizer.ts";

const pieceBytes = 1 << 20;
const lineBytesMax = 64 * 2 ** 20;
/** A tokenizer sees at most about this many characters at once, cut after a line, so that memory stays bounded. */
const textCharacters = 1 << 16;

export interface Tokenised {
  readonly tokens: number;
  /** In nats per token. */
  readonly unigramEntropy: number;
}

/** Calls `write` with little-endian ids of `bytesPerToken` bytes; the buffer is reused after it returns. */
export function tokeniseFiles(
  files: readonly TextFile[],
  tokenizer: Tokenizer,
  write: (piece: Uint8Array) => void,
  bytesPerToken: 2 | 4,
): Tokenised {
  const counts = new Float64Array(tokenizer.vocabularySize);
  const buffer = Buffer.alloc(1 << 18);
  let filled = 0;
  let tokens = 0;
  const put = (id: number): void => {
    counts[id] = (counts[id] ?? 0) + 1;
    tokens++;
    if (bytesPerToken === 2) buffer.writeUInt16LE(id, filled);
    else buffer.writeUInt32LE(id, filled);
    filled += bytesPerToken;
    if (filled === buffer.length) flush();
  };
  const flush = (): void => {
    if (filled > 0) write(buffer.subarray(0, filled));
    filled = 0;
  };
  for (const file of files) {
    if (file.path.toLowerCase().endsWith(".jsonl")) tokeniseLines(file.path, tokenizer, put);
    else tokeniseText(file.path, tokenizer, put);
  }
  flush();
  let entropy = 0;
  for (const count of counts) if (count > 0) entropy -= (count / tokens) * Math.log(count / tokens);
  return { tokens, unigramEntropy: entropy };
}

function tokeniseText(path: string, tokenizer: Tokenizer, put: (id: number) => void): void {
  let isOpen = false;
  const open = (): void => {
    if (!isOpen && tokenizer.bos !== undefined) put(tokenizer.bos);
    isOpen = true;
  };
  if (tokenizer.kind === "byte") {
    for (const piece of pieces(path)) {
      open();
      for (const byte of piece) put(byte);
    }
  } else {
    const decoder = new TextDecoder();
    let text = "";
    const encode = (part: string): void => {
      if (part === "") return;
      open();
      for (const id of tokenizer.encode(part)) put(id);
    };
    for (const piece of pieces(path)) {
      text += decoder.decode(piece, { stream: true });
      if (text.length < textCharacters) continue;
      // Without a line break the piece is cut where it is: the split changes a token at most.
      const cut = text.lastIndexOf("\n") + 1 || text.length;
      encode(text.slice(0, cut));
      text = text.slice(cut);
    }
    encode(text + decoder.decode());
  }
  if (isOpen && tokenizer.eos !== undefined) put(tokenizer.eos);
}

function tokeniseLines(path: string, tokenizer: Tokenizer, put: (id: number) => void): void {
  let number = 0;
  for (const line of lines(path)) {
    number++;
    const text = textOf(line, path, number);
    if (text === "") continue;
    if (tokenizer.bos !== undefined) put(tokenizer.bos);
    for (const id of tokenizer.encode(text)) put(id);
    if (tokenizer.eos !== undefined) put(tokenizer.eos);
  }
}

function textOf(line: string, path: string, number: number): string {
  if (line.trim() === "") return "";
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new BadInput(`${path}:${number}: not JSON; each line of a .jsonl file is one object with a field \`text\``);
  }
  if (typeof value === "object" && value !== null && "text" in value && typeof value.text === "string")
    return value.text;
  throw new BadInput(`${path}:${number}: no string field \`text\`; each line of a .jsonl file is one object with it`);
}

function* pieces(path: string): Generator<Buffer> {
  const fd = openSync(path, "r");
  try {
    const buffer = Buffer.alloc(pieceBytes);
    for (let got = readSync(fd, buffer); got > 0; got = readSync(fd, buffer)) yield buffer.subarray(0, got);
  } finally {
    closeSync(fd);
  }
}

function* lines(path: string): Generator<string> {
  let rest: Buffer[] = [];
  let restBytes = 0;
  for (const piece of pieces(path)) {
    let from = 0;
    for (let end = piece.indexOf(10); end !== -1; end = piece.indexOf(10, from)) {
      yield Buffer.concat([...rest, piece.subarray(from, end)]).toString("utf8");
      rest = [];
      restBytes = 0;
      from = end + 1;
    }
    rest.push(Buffer.from(piece.subarray(from)));
    restBytes += piece.length - from;
    if (restBytes > lineBytesMax) throw new BadInput(`${path}: a line of more than ${lineBytesMax} bytes; split it`);
  }
  if (restBytes > 0) yield Buffer.concat(rest).toString("utf8");
}
