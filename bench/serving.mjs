/**
 * Measures the embedded engine as a server's backend: tokens per second of 1, 8 and 64 streams at once beside the same requests one
 * at a time, and the time to first token of a newcomer under load; writes docs/performance.md with --write.
 * Random weights: speed depends on shapes, and an expert model's routing is less even than a trained one's.
 */
import { deepseekV3 } from "../dist/engine/model/deepseek.js";
import { Sampler } from "../dist/engine/sampler.js";
import { DeepseekConfig } from "../dist/spec/deepseek-config.js";
import { random } from "../dist/spec/random.js";
import { provenance, writeBlock } from "./block.mjs";

const config = DeepseekConfig.parse({
  ...{ vocab_size: 1024, hidden_size: 256, intermediate_size: 688, num_hidden_layers: 4, num_attention_heads: 4 },
  ...{ kv_lora_rank: 64, qk_nope_head_dim: 32, qk_rope_head_dim: 16, v_head_dim: 32, max_position_embeddings: 1024 },
});
const promptTokens = 64;
const answerTokens = 64;
const rounds = 5;

const programs = deepseekV3(config);
const draw = random(1, "bench/serving");
const parameters = new Map(
  programs.parameters.map(({ name, shape, init }) => {
    const size = shape.reduce((product, dimension) => product * dimension, 1);
    return [
      name,
      { shape, data: Float32Array.from({ length: size }, () => (init.kind === "ones" ? 1 : 0.05 * draw.normal())) },
    ];
  }),
);
const parameterCount = [...parameters.values()].reduce((sum, { data }) => sum + data.length, 0);
const sampler = await Sampler.open({ config, programs, parameters, prefixTokensMax: 0 });
const promptOf = (length) => Array.from({ length }, () => draw.uint32() % config.vocab_size);

async function answer(prompt, maxTokens = answerTokens) {
  const from = performance.now();
  let [count, first] = [0, 0];
  for await (const _ of sampler.generate(prompt, { maxTokens, temperature: 1, topP: 1, seed: 1 })) {
    if (count++ === 0) first = (performance.now() - from) / 1000;
  }
  return { count, first };
}

async function timed(work) {
  const from = performance.now();
  const answers = await work();
  const seconds = (performance.now() - from) / 1000;
  return { perSecond: answers.reduce((sum, { count }) => sum + count, 0) / seconds, answers };
}

const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
await answer(promptOf(promptTokens)); // warm-up
const rows = [];
for (const streams of [1, 8, 64]) {
  const runs = [];
  for (let round = 0; round < rounds; round++) {
    const prompts = Array.from({ length: Math.max(4, streams) }, () => promptOf(promptTokens));
    // One at a time is asked fewer times: its speed does not depend on how many follow.
    const one = await timed(async () => {
      const answers = [];
      for (const prompt of prompts.slice(0, 4)) answers.push(await answer(prompt));
      return answers;
    });
    // As many answers on both sides at least, so that a moment's noise weighs alike.
    const all = await timed(async () => {
      const answers = [];
      for (let done = 0; done < Math.max(4, streams); done += streams) {
        answers.push(...(await Promise.all(prompts.slice(0, streams).map((prompt) => answer(prompt)))));
      }
      return answers;
    });
    const firsts = all.answers.map(({ first }) => first);
    runs.push({
      one: one.perSecond,
      all: all.perSecond,
      ratio: all.perSecond / one.perSecond,
      first: median(firsts),
      last: Math.max(...firsts),
    });
  }
  const of = (key) => median(runs.map((run) => run[key]));
  rows.push({ streams, one: of("one"), all: of("all"), ratio: of("ratio"), first: of("first"), last: of("last") });
  process.stderr.write(`${JSON.stringify(rows.at(-1))}\n`);
}

/** A newcomer with a long prompt, alone and while others are decoded; and the longest gap that it makes in their answers. */
async function newcomer(running) {
  const prompts = Array.from({ length: running }, () => promptOf(promptTokens));
  let [started, done] = [0, false];
  let gap = 0;
  const background = prompts.map(async (prompt) => {
    let last;
    for await (const _ of sampler.generate(prompt, { maxTokens: 400, temperature: 1, topP: 1, seed: 1 })) {
      const now = performance.now();
      if (last === undefined) started++;
      else if (started === running && !done) gap = Math.max(gap, (now - last) / 1000);
      last = now;
      if (done) break;
    }
  });
  while (started < running) await new Promise(setImmediate);
  const { first } = await answer(promptOf(512), 1);
  done = true;
  await Promise.all(background);
  return { running, first, gap };
}
const newcomers = [];
for (const running of [0, 8, 32]) {
  const runs = [];
  for (let round = 0; round < rounds; round++) runs.push(await newcomer(running));
  newcomers.push({ running, first: median(runs.map(({ first }) => first)), gap: median(runs.map(({ gap }) => gap)) });
  process.stderr.write(`${JSON.stringify(newcomers.at(-1))}\n`);
}
await sampler.close();

const milliseconds = (seconds) => (seconds * 1000).toFixed(0);
const text = [
  "## Embedded engine as a server",
  "",
  `Machine: ${provenance()}. ${(parameterCount / 1e6).toFixed(1)} M parameters with random values, one thread; prompts of ${promptTokens} tokens, answers of ${answerTokens}; medians of ${rounds} rounds, both columns of a ratio in the same round. The engine alone: no HTTP.`,
  "",
  "| streams at once | tokens per second, one at a time | tokens per second, at once | ratio | first token, median ms | first token, last stream ms |",
  "|--:|--:|--:|--:|--:|--:|",
  ...rows.map(
    (row) =>
      `| ${row.streams} | ${row.one.toFixed(0)} | ${row.all.toFixed(0)} | ${row.ratio.toFixed(2)} | ${milliseconds(row.first)} | ${milliseconds(row.last)} |`,
  ),
  "",
  "| running streams | first token of a newcomer with 512 prompt tokens, ms | longest gap in a running answer meanwhile, ms |",
  "|--:|--:|--:|",
  ...newcomers.map(
    (row) => `| ${row.running} | ${milliseconds(row.first)} | ${row.running === 0 ? "–" : milliseconds(row.gap)} |`,
  ),
].join("\n");
if (process.argv.includes("--write")) {
  const file = new URL("../docs/performance.md", import.meta.url).pathname;
  writeBlock(file, "npm run bench -- serving --write", text);
  process.stderr.write(`written to ${file}\n`);
} else process.stdout.write(`${text}\n`);
