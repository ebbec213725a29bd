/** Whatever a source, an index or a destination may do wrong is refused in one line that names it, and nothing complete-looking appears. */
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { expectConverted, tensorsIn } from "../../../test/expect-converted.ts";
import { BadInput } from "../../spec/bad-input.ts";
import { random } from "../../spec/random.ts";
import { type SyntheticShape, smallerShape, writeSyntheticCheckpoint } from "../synthetic-checkpoint.ts";
import { convert } from "./convert.ts";
import { verifyConversion } from "./verify-conversion.ts";

const shape: SyntheticShape = {
  ...smallerShape(256, { layers: 2, experts: 2 }),
  ...{ hidden: 16, vocab: 10, intermediate: 24, expertWidth: 8, queryRank: 6, keyValueRank: 4 },
  ...{ heads: 1, nope: 4, rope: 2, headDim: 4, mtpLayers: 0, block: 8 },
};
const indexFile = "model.safetensors.index.json";
let root: string;
let pristine: string;
let source: string;
let destination: string;
let shards: string[];
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
  pristine = join(root, "pristine");
  writeSyntheticCheckpoint(pristine, shape, { shardBytes: 2500 });
  shards = readdirSync(pristine).filter((name) => name.endsWith(".safetensors"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));
beforeEach(() => {
  source = join(root, "source");
  destination = join(root, "destination");
  for (const path of [source, destination]) rmSync(path, { recursive: true, force: true });
  mkdirSync(source);
  for (const name of readdirSync(pristine)) writeFileSync(join(source, name), readFileSync(join(pristine, name)));
});

interface Shard {
  header: Record<string, { dtype: string; shape: number[]; data_offsets: number[] }>;
  data: Buffer;
}

function readShard(name: string): Shard {
  const file = readFileSync(join(source, name));
  const length = Number(file.readBigUInt64LE());
  return { header: JSON.parse(file.toString("utf8", 8, 8 + length)), data: file.subarray(8 + length) };
}

function writeShard(name: string, header: string, data: Buffer, length = Buffer.byteLength(header)): void {
  const front = Buffer.alloc(8);
  front.writeBigUInt64LE(BigInt(length));
  writeFileSync(join(source, name), Buffer.concat([front, Buffer.from(header), data]));
}

/** Changes the header entries of the shard that holds a tensor whose name ends so. */
function changeTensor(
  ending: string,
  change: (entry: Shard["header"][string], shard: Shard, name: string) => void,
): string {
  for (const file of shards) {
    const shard = readShard(file);
    const name = Object.keys(shard.header).find((key) => key.endsWith(ending));
    const entry = name === undefined ? undefined : shard.header[name];
    if (name === undefined || !entry) continue;
    change(entry, shard, name);
    writeShard(file, JSON.stringify(shard.header), shard.data);
    return name;
  }
  throw new Error(`no tensor ${ending}`);
}

function changeJson(name: string, change: (value: Record<string, Record<string, unknown>>) => void): void {
  const value = JSON.parse(readFileSync(join(source, name), "utf8"));
  change(value);
  writeFileSync(join(source, name), JSON.stringify(value));
}

function rename(from: string, to: string): void {
  changeJson(indexFile, (index) => {
    const map = index.weight_map ?? {};
    map[to] = map[from];
    delete map[from];
  });
}

const hashOf = (path: string): string => {
  const hash = createHash("sha256");
  for (const name of readdirSync(path, { recursive: true, encoding: "utf8" }).sort()) {
    hash.update(name);
    if (
      !existsSync(join(path, name)) ||
      readdirSync(path, { withFileTypes: true }).some((e) => e.name === name && !e.isFile())
    )
      continue;
    hash.update(readFileSync(join(path, name)));
  }
  return hash.digest("hex");
};

async function expectRefused(pattern: RegExp, to = destination): Promise<void> {
  const before = hashOf(source);
  const beside = readdirSync(root)
    .filter((name) => name !== "destination")
    .sort();
  for (const format of ["bf16", "w8a8-dynamic"] as const) {
    const error = await convert({ source, destination: to, format }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(BadInput);
    if (!(error instanceof BadInput)) return;
    for (const problem of error.problems) expect(problem).not.toMatch(/\n/);
    expect(error.problems.join("\n")).toMatch(pattern);
  }
  expect(hashOf(source)).toBe(before);
  expect(
    readdirSync(root)
      .filter((name) => name !== "destination")
      .sort(),
  ).toEqual(beside);
  if (to === destination && existsSync(to)) {
    expect(readdirSync(to).filter((name) => !name.startsWith("."))).not.toContain(indexFile);
  }
}

describe("a shard", () => {
  const first = () => shards[0] ?? "";
  const cases: [string, RegExp, () => void][] = [
    [
      "cut short",
      /00001-of-.*cut short/,
      () => writeFileSync(join(source, first()), readFileSync(join(source, first())).subarray(0, -1)),
    ],
    ["empty", /00001-of-.*no header/, () => writeFileSync(join(source, first()), "")],
    ["header longer than the file", /longer than the file/, () => writeShard(first(), "{}", Buffer.alloc(0), 1000)],
    ["header of 2^60", /1152921504606846976/, () => writeShard(first(), "{}", Buffer.alloc(0), 2 ** 60)],
    ["header not JSON", /00001-of-.*not valid/, () => writeShard(first(), "<html>", Buffer.alloc(0))],
    [
      "nested 100,000 deep",
      /00001-of-.*not valid/,
      () => writeShard(first(), `{"a":${"[".repeat(1e5)}`, Buffer.alloc(0)),
    ],
    [
      "__proto__",
      /__proto__/,
      () => writeShard(first(), '{"__proto__":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', Buffer.alloc(0)),
    ],
    [
      "duplicate",
      /"a".*twice/,
      () =>
        writeShard(
          first(),
          `{${Array(2).fill('"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}').join()}}`,
          Buffer.alloc(0),
        ),
    ],
    [
      "overlapping",
      /q_a_proj.*(inside|hole|needs)/,
      () =>
        void changeTensor("q_a_proj.weight", (entry) => (entry.data_offsets = entry.data_offsets.map((at) => at - 8))),
    ],
    [
      "negative offsets",
      /out of range/,
      () => void changeTensor("q_a_proj.weight", (entry) => (entry.data_offsets = [-8, 8])),
    ],
    [
      "shape that disagrees",
      /q_a_proj.*needs/,
      () => void changeTensor("q_a_proj.weight", (entry) => entry.shape.push(3)),
    ],
    [
      "dtype that disagrees",
      /q_a_proj.*needs/,
      () => void changeTensor("q_a_proj.weight", (entry) => (entry.dtype = "BF16")),
    ],
    [
      "overflowed size",
      /more bytes than can be counted/,
      () => void changeTensor("q_a_proj.weight", (entry) => (entry.shape = [2 ** 40, 2 ** 40])),
    ],
    ["unknown type", /unknown dtype/, () => void changeTensor("q_a_proj.weight", (entry) => (entry.dtype = "F4"))],
    [
      "unsupported type",
      /F8_E5M2 is not converted/,
      () => void changeTensor("q_a_proj.weight", (entry) => (entry.dtype = "F8_E5M2")),
    ],
    ["missing", /00001-of-.*does not exist/, () => rmSync(join(source, first()))],
    [
      "a directory",
      /no regular file/,
      () => {
        rmSync(join(source, first()));
        mkdirSync(join(source, first()));
      },
    ],
    [
      "a link that leads out",
      /leads out/,
      () => {
        renameSync(join(source, first()), join(root, "elsewhere"));
        symlinkSync(join(root, "elsewhere"), join(source, first()));
      },
    ],
    [
      "a link to itself",
      /leads to itself/,
      () => {
        rmSync(join(source, first()));
        symlinkSync(first(), join(source, first()));
      },
    ],
  ];
  test.each(cases)("%s", async (_, pattern, spoil) => {
    spoil();
    await expectRefused(pattern);
    rmSync(join(root, "elsewhere"), { force: true });
  });
});

describe("a scale", () => {
  const scale = "q_a_proj.weight_scale_inv";
  const setValue = (value: number) => (entry: Shard["header"][string], shard: Shard) =>
    void shard.data.writeFloatLE(value, entry.data_offsets[0]);
  const cases: [string, RegExp, () => void][] = [
    ["NaN", /q_a_proj.weight_scale_inv.*not finite/, () => void changeTensor(scale, setValue(Number.NaN))],
    [
      "infinite",
      /q_a_proj.weight_scale_inv.*not finite/,
      () => void changeTensor(scale, setValue(Number.POSITIVE_INFINITY)),
    ],
    [
      "misshapen",
      /q_a_proj.weight_scale_inv.*need \[1,2\]/,
      () => void changeTensor(scale, (entry) => entry.shape.reverse()),
    ],
    ["of another type", /I32 is no type of a scale/, () => void changeTensor(scale, (entry) => (entry.dtype = "I32"))],
    [
      "missing",
      /q_a_proj.weight".*is missing/,
      () => {
        const name = changeTensor(scale, (entry, { header }, key) => {
          header[`${key}_no`] = entry;
          delete header[key];
        });
        rename(name, `${name}_no`);
      },
    ],
    [
      "orphan",
      /extra_scale_inv.*no FP8 weight/,
      () => {
        const name = changeTensor("q_a_layernorm.weight", (entry, { header }, key) => {
          header.extra_scale_inv = entry;
          delete header[key];
        });
        rename(name, "extra_scale_inv");
      },
    ],
  ];
  test.each(cases)("%s", async (_, pattern, spoil) => {
    spoil();
    await expectRefused(pattern);
  });
});

describe("index and configuration", () => {
  const place = (file: unknown) => () =>
    changeJson(indexFile, (index) => {
      (index.weight_map ?? {})["lm_head.weight"] = file;
    });
  const text = (name: string, content: string) => () => writeFileSync(join(source, name), content);
  const quantization = (value: unknown) => () =>
    changeJson("config.json", (config) => {
      config.quantization_config = Object(value);
    });
  const cases: [string, RegExp, () => void][] = [
    ["a missing shard", /model-9.safetensors.*does not exist/, place("model-9.safetensors")],
    ["../", /lm_head.weight.*no name of a shard/, place("../model.safetensors")],
    ["absolute", /lm_head.weight.*no name of a shard/, place("/etc/model.safetensors")],
    ["a number", /lm_head.weight.*no name of a shard/, place(7)],
    ["another shard", /lm_head.weight.*(does not place|not in the file)/, () => place(shards[0])()],
    ["not JSON", /index.json.*not JSON/, text(indexFile, "{")],
    ["a line break inside", /index.json.*not JSON/, text(indexFile, '{"weight_map":\n x\n}')],
    ["no map", /weight_map is missing/, text(indexFile, "{}")],
    ["an empty map", /names no tensor/, text(indexFile, '{"weight_map":{}}')],
    [
      "a repeated key",
      /"a" appears twice/,
      text(indexFile, '{"weight_map":{"a":"m.safetensors","a":"n.safetensors"}}'),
    ],
    ["deep nesting", /nested deeper/, text(indexFile, `{"a":${"[".repeat(1e5)}`)],
    ["__proto__ in the map", /__proto__/, text(indexFile, '{"weight_map":{"__proto__":"m.safetensors"}}')],
    ["no config", /config.json.*does not exist/, () => rmSync(join(source, "config.json"))],
    ["config not JSON", /config.json.*not JSON/, text("config.json", "hidden_size: 3")],
    [
      "config of another family",
      /gpt2/,
      () => changeJson("config.json", (config) => Object.assign(config, { model_type: "gpt2" })),
    ],
    [
      "config of another size",
      /embed_tokens.*config.json says/,
      () => changeJson("config.json", (config) => Object.assign(config, { vocab_size: 11 })),
    ],
    [
      "config with fewer layers",
      /layers 0 to 0 only/,
      () => changeJson("config.json", (config) => Object.assign(config, { num_hidden_layers: 1 })),
    ],
    [
      "config with more layers",
      /layers.2.input_layernorm.*missing/,
      () => changeJson("config.json", (config) => Object.assign(config, { num_hidden_layers: 3 })),
    ],
    [
      "config with more experts",
      /has 2 experts/,
      () => changeJson("config.json", (config) => Object.assign(config, { n_routed_experts: 3 })),
    ],
    ["block size 0", /weight_block_size/, quantization({ quant_method: "fp8", weight_block_size: [0, 8] })],
    ["block size negative", /weight_block_size/, quantization({ quant_method: "fp8", weight_block_size: [8, -8] })],
    ["no block size", /weight_block_size/, quantization({ quant_method: "fp8" })],
    ["another method", /quant_method/, quantization({ quant_method: "gptq", weight_block_size: [8, 8] })],
    [
      "no quantization_config",
      /no quantization_config/,
      () => changeJson("config.json", (config) => void delete config.quantization_config),
    ],
  ];
  test.each(cases)("%s", async (_, pattern, spoil) => {
    spoil();
    await expectRefused(pattern);
  });
});

describe("a destination", () => {
  test("that is the source, inside it or around it", async () => {
    await expectRefused(/is the source itself|is not empty/, source);
    await expectRefused(/lies inside the source/, join(source, "out"));
    await expectRefused(/the source .* lies inside it|is not empty/, root);
    symlinkSync(source, join(root, "detour"));
    await expectRefused(/is the source itself|is not empty/, join(root, "detour"));
    rmSync(join(root, "detour"));
  });

  test("that holds something, is a file, or has no parent", async () => {
    mkdirSync(destination);
    writeFileSync(join(destination, "thesis.tex"), "mine");
    await expectRefused(/is not empty/);
    expect(readFileSync(join(destination, "thesis.tex"), "utf8")).toBe("mine");
    await expectRefused(/is a file/, join(destination, "thesis.tex"));
    await expectRefused(/is no directory/, join(root, "no", "where"));
  });

  test.skipIf(process.getuid?.() === 0 && "the superuser writes anywhere")("that cannot be written", async () => {
    mkdirSync(destination);
    chmodSync(destination, 0o500);
    await expectRefused(/cannot be written/);
    chmodSync(destination, 0o700);
  });
});

test("zero-size and 0-d tensors are legal, and NaN codes stay NaN in bfloat16 and are refused in signed bytes", async () => {
  const file = shards.at(-1) ?? "";
  const shard = readShard(file);
  const end = shard.data.length;
  shard.header["extra.empty"] = { dtype: "BF16", shape: [0, 7], data_offsets: [end, end] };
  shard.header["extra.scalar"] = { dtype: "F32", shape: [], data_offsets: [end, end + 4] };
  writeShard(file, JSON.stringify(shard.header), Buffer.concat([shard.data, Buffer.alloc(4, 0x3f)]));
  changeJson(indexFile, (index) =>
    Object.assign(index.weight_map ?? {}, { "extra.empty": file, "extra.scalar": file }),
  );
  await convert({ source, destination, format: "bf16" });
  expectConverted(source, destination, "bf16");
  expect(tensorsIn(destination).get("extra.scalar")?.shape).toEqual([]);
  changeTensor("q_a_proj.weight", (entry, { data }) => void data.writeUInt8(0x7f, entry.data_offsets[0]));
  await convert({ source, destination: join(root, "nan"), format: "bf16" });
  expectConverted(source, join(root, "nan"), "bf16");
  const refused = convert({ source, destination: join(root, "nan8"), format: "w8a8-dynamic" });
  await expect(refused).rejects.toThrow(/q_a_proj.*row 0 has a value that is not finite/);
  for (const name of ["nan", "nan8"]) rmSync(join(root, name), { recursive: true });
});

/** `DUALGAUGE_FUZZ=10000` runs the full count, which takes two minutes of processor time. */
const mutations = Number(process.env.DUALGAUGE_FUZZ ?? 400);
const fuzzMilliseconds = 3_600_000;

test(`${mutations} mutations of valid files: refused, or converted to exactly what the altered file says`, {
  timeout: fuzzMilliseconds,
}, async () => {
  const draw = random(11, "mutations");
  const outcomes = { refused: 0, converted: 0 };
  const names = [...shards, indexFile, "config.json"];
  for (let round = 0; round < mutations; round++) {
    const name = names[draw.below(names.length)] ?? "";
    const original = readFileSync(join(pristine, name));
    writeFileSync(join(source, name), mutate(original, draw));
    const format = round % 2 === 0 ? "bf16" : "w8a8-dynamic";
    try {
      await convert({ source, destination, format });
      expectConverted(source, destination, format);
      outcomes.converted++;
    } catch (error) {
      if (!(error instanceof BadInput)) throw new Error(`round ${round}, ${name}: ${String(error)}`, { cause: error });
      expect(existsSync(join(destination, indexFile))).toBe(false);
      outcomes.refused++;
    }
    rmSync(destination, { recursive: true, force: true });
    writeFileSync(join(source, name), original);
  }
  expect(outcomes.refused).toBeGreaterThan(mutations / 10);
  expect(outcomes.converted).toBeGreaterThan(mutations / 20);
});

test("no altered byte of a finished port passes --verify", { timeout: fuzzMilliseconds }, async () => {
  await convert({ source, destination, format: "w8a8-dynamic" });
  const draw = random(12, "alterations");
  const names = readdirSync(destination);
  for (let round = 0; round < mutations / 4; round++) {
    const path = join(destination, names[draw.below(names.length)] ?? "");
    const original = readFileSync(path);
    const altered = mutate(original, draw);
    if (Buffer.compare(original, altered) === 0) continue;
    writeFileSync(path, altered);
    expect((await verifyConversion(destination)).problems, `round ${round}`).not.toEqual([]);
    writeFileSync(path, original);
  }
  expect((await verifyConversion(destination)).problems).toEqual([]);
  writeFileSync(join(destination, "stranger"), "");
  expect((await verifyConversion(destination)).problems).toEqual(["stranger: is not listed in port.json"]);
});

/** Flips, inserts, removes, repeats or overwrites a few bytes, most often near the front, where headers are. */
function mutate(original: Buffer, draw: ReturnType<typeof random>): Buffer {
  const bytes = Buffer.from(original);
  const at = draw.below(2) === 0 ? draw.below(Math.min(bytes.length, 400)) : draw.below(bytes.length);
  const some = draw.below(16) + 1;
  switch (draw.below(6)) {
    case 0:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << draw.below(8));
      return bytes;
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + some)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(some, draw.below(256)), bytes.subarray(at)]);
    case 3:
      return bytes.subarray(0, at);
    case 4:
      return bytes.fill('0123456789-,:[]{}"\\e.'[draw.below(21)] ?? "0", at, at + 1);
    default:
      return Buffer.concat([bytes.subarray(0, at + some), bytes.subarray(at)]);
  }
}
