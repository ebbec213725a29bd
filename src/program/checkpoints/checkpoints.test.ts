/** Checkpoint directories as frameworks leave them: whole, torn, stale, with shards missing; and pickles that would do harm. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ProgramCheckpointFormat } from "../../spec/program.ts";
import { checkpointFormats, newestCheckpoint } from "./newest.ts";
import { isDict, isObject, MalformedPickle, readPickle } from "./pickle.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "dualgauge-checkpoints-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function put(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(join(dir, path)), { recursive: true });
  writeFileSync(join(dir, path), content);
}
/** An empty zip archive with some bytes in front: what the reader looks at of a torch.save file. */
const torchFile = (): Buffer => {
  const end = Buffer.alloc(22);
  end.write("PK\u0005\u0006", "latin1");
  return Buffer.concat([Buffer.from("PK\u0003\u0004", "latin1"), Buffer.alloc(100, 7), end]);
};
const look = (format: ProgramCheckpointFormat) => newestCheckpoint({ dir, format });

/**
 * `.metadata` as torch.distributed.checkpoint writes it: pickle protocol 2 of a Metadata whose storage_data names a file.
 * Written by hand, opcode by opcode (pickletools), because it must not need PyTorch.
 */
function metadata(files: readonly { path: string; offset: number; length: number }[]): Buffer {
  const text = (value: string): Buffer => {
    const bytes = Buffer.from(value);
    const head = Buffer.alloc(5);
    head.write("X", "latin1");
    head.writeUInt32LE(bytes.length, 1);
    return Buffer.concat([head, bytes]);
  };
  const int = (value: number): Buffer => {
    const bytes = Buffer.alloc(5);
    bytes.write("J", "latin1");
    bytes.writeInt32LE(value, 1);
    return bytes;
  };
  const raw = (value: string): Buffer => Buffer.from(value, "latin1");
  const global = (module: string, name: string): Buffer => raw(`ctorch.distributed.checkpoint.${module}\n${name}\n`);
  const entries = files.flatMap(({ path, offset, length }, index) => [
    ...[global("metadata", "MetadataIndex"), raw(")\u0081}("), text("fqn"), text(`weight.${index}`), raw("ub")],
    ...[global("filesystem", "_StorageInfo"), raw(")\u0081}(")],
    ...[text("relative_path"), text(path), text("offset"), int(offset), text("length"), int(length), raw("ub")],
  ]);
  return Buffer.concat([
    ...[raw("\u0080\u0002"), global("metadata", "Metadata"), raw(")\u0081}(")],
    ...[text("state_dict_metadata"), raw("}"), text("storage_data"), raw("}("), ...entries, raw("u"), raw("ub.")],
  ]);
}

describe("dcp", () => {
  const shards = [
    { path: "__0_0.distcp", offset: 0, length: 100 },
    { path: "__1_0.distcp", offset: 50, length: 50 },
  ];
  beforeEach(() => {
    for (const step of [10, 20]) {
      for (const { path } of shards) put(`step-${step}/${path}`, Buffer.alloc(100));
      put(`step-${step}/.metadata`, metadata(shards));
    }
  });
  test("the newest whole one", async () => {
    expect(await look("dcp")).toEqual({ newest: { step: 20, path: join(dir, "step-20") }, rejected: [] });
    expect((await newestCheckpoint({ dir, format: "dcp" }, { beforeStep: 20 })).newest?.step).toBe(10);
    expect((await newestCheckpoint({ dir, format: "dcp" }, { aboveStep: 20 })).newest).toBeUndefined();
  });
  test.each([
    ["no .metadata", () => rmSync(join(dir, "step-20/.metadata")), ".metadata: is missing"],
    ["a torn .metadata", () => truncateSync(join(dir, "step-20/.metadata"), 90), ".metadata: is cut short"],
    ["a missing shard", () => rmSync(join(dir, "step-20/__1_0.distcp")), "__1_0.distcp: is missing"],
    ["a short shard", () => truncateSync(join(dir, "step-20/__1_0.distcp"), 99), "__1_0.distcp: has 99 bytes of 100"],
    [
      "a file outside",
      () => put("step-20/.metadata", metadata([{ path: "../../etc/passwd", offset: 0, length: 1 }])),
      ".metadata: names ../../etc/passwd",
    ],
  ])("%s falls back to the one before", async (_, spoil, why) => {
    spoil();
    const { newest, rejected } = await look("dcp");
    expect(newest?.step).toBe(10);
    expect(rejected).toEqual([{ step: 20, path: join(dir, "step-20"), why }]);
  });
});

describe("megatron", () => {
  const ranks = ["mp_rank_00", "mp_rank_01"];
  const write = (step: number): void => {
    for (const rank of ranks) put(`iter_${String(step).padStart(7, "0")}/${rank}/model_optim_rng.pt`, torchFile());
  };
  beforeEach(() => {
    write(100);
    write(200);
    put("latest_checkpointed_iteration.txt", "200");
  });
  test("whole", async () => expect((await look("megatron")).newest?.step).toBe(200));
  test("a torn tracker: the directories decide, and the tracker is mended", async () => {
    put("latest_checkpointed_iteration.txt", "");
    expect((await look("megatron")).newest?.step).toBe(200);
    expect(checkpointFormats.megatron.point?.(dir, 200)).toBe("");
    expect(readFileSync(join(dir, "latest_checkpointed_iteration.txt"), "utf8")).toBe("200");
    expect(checkpointFormats.megatron.point?.(dir, 200)).toBeUndefined();
  });
  test("one that was being written when the job died", async () => {
    put("iter_0000300/mp_rank_00/model_optim_rng.pt", torchFile());
    expect(await look("megatron")).toMatchObject({
      newest: { step: 200 },
      rejected: [{ step: 300, why: "mp_rank_01: is missing, iter 200 has it" }],
    });
  });
  test("a file cut short, a rank that is missing in between, an empty folder", async () => {
    truncateSync(join(dir, "iter_0000200/mp_rank_01/model_optim_rng.pt"), 60);
    expect((await look("megatron")).rejected[0]?.why).toBe("mp_rank_01/model_optim_rng.pt: is cut short");
    rmSync(join(dir, "iter_0000200/mp_rank_00"), { recursive: true });
    expect((await look("megatron")).rejected[0]?.why).toBe("mp_rank_00: is missing");
    mkdirSync(join(dir, "iter_0000400"));
    expect((await look("megatron")).rejected[0]?.why).toMatch(/neither metadata.json nor/);
  });
  test("torch_dist: metadata.json is written last", async () => {
    put("iter_0000300/__0_0.distcp", Buffer.alloc(10));
    put("iter_0000300/.metadata", metadata([{ path: "__0_0.distcp", offset: 0, length: 10 }]));
    expect((await look("megatron")).rejected[0]?.why).toBe("metadata.json: is missing");
    put("iter_0000300/metadata.json", '{"sharded_backend": "torch_dist", "sharded_backend_version": 1}');
    expect((await look("megatron")).newest?.step).toBe(300);
  });
});

describe("deepspeed", () => {
  const names = [
    "mp_rank_00_model_states.pt",
    "zero_pp_rank_0_mp_rank_00_optim_states.pt",
    "zero_pp_rank_1_mp_rank_00_optim_states.pt",
  ];
  beforeEach(() => {
    for (const step of [5, 10]) for (const name of names) put(`global_step${step}/${name}`, torchFile());
  });
  test("a stale `latest` does not hide a newer one that is whole", async () => {
    put("latest", "global_step5");
    expect((await look("deepspeed")).newest?.step).toBe(10);
    expect(checkpointFormats.deepspeed.point?.(dir, 10)).toBe("global_step5");
    expect(readFileSync(join(dir, "latest"), "utf8")).toBe("global_step10");
  });
  test.each([0, 1])("without the shard of rank %i it is incomplete", async (rank) => {
    put("latest", "global_step10");
    rmSync(join(dir, `global_step10/zero_pp_rank_${rank}_mp_rank_00_optim_states.pt`));
    const { newest, rejected } = await look("deepspeed");
    expect(rejected[0]?.why).toContain(`zero_pp_rank_${rank}_mp_rank_00_optim_states.pt: is missing`);
    expect(newest?.step).toBe(5);
  });
});

describe("hf", () => {
  /** One float32 tensor of two values. */
  const shard = (name: string): Buffer => {
    const header = Buffer.from(JSON.stringify({ [name]: { dtype: "F32", shape: [2], data_offsets: [0, 8] } }));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    return Buffer.concat([length, header, Buffer.alloc(8)]);
  };
  beforeEach(() => {
    for (const step of [10, 20]) {
      const at = `checkpoint-${step}`;
      const map = { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" };
      put(`${at}/model.safetensors.index.json`, JSON.stringify({ metadata: { total_size: 16 }, weight_map: map }));
      for (const [name, file] of Object.entries(map)) put(`${at}/${file}`, shard(name));
      put(`${at}/optimizer.pt`, torchFile());
      put(`${at}/trainer_state.json`, JSON.stringify({ global_step: step, epoch: 0.1 }));
    }
  });
  test("whole", async () => expect((await look("hf")).newest?.step).toBe(20));
  test.each([
    ["a missing shard", () => rmSync(join(dir, "checkpoint-20/model-00002-of-00002.safetensors")), /00002.*is missing/],
    ["a short shard", () => truncateSync(join(dir, "checkpoint-20/model-00001-of-00002.safetensors"), 60), /00001/],
    ["a torn index", () => put("checkpoint-20/model.safetensors.index.json", '{"weight'), /torn/],
    ["a torn optimizer", () => truncateSync(join(dir, "checkpoint-20/optimizer.pt"), 50), /optimizer.pt: is cut short/],
    ["another step's state", () => put("checkpoint-20/trainer_state.json", '{"global_step": 10}'), /is of step 10/],
  ])("%s falls back", async (_, spoil, why) => {
    spoil();
    const { newest, rejected } = await look("hf");
    expect(newest?.step).toBe(10);
    expect(rejected[0]?.why).toMatch(why);
  });
});

test("torch: files by their number, temporary ones left out", async () => {
  put("step-5.pt", torchFile());
  put("model_000010.pt", torchFile().subarray(0, 50));
  put("step-20.pt.tmp", torchFile());
  put("best.pt", torchFile());
  expect(await look("torch")).toMatchObject({ newest: { step: 5 }, rejected: [{ step: 10, why: "is cut short" }] });
});

test("no directory is no checkpoint", async () => {
  rmSync(dir, { recursive: true });
  for (const format of ["megatron", "dcp", "deepspeed", "hf", "torch", "dualgauge"] as const) {
    expect(await look(format)).toEqual({ newest: undefined, rejected: [] });
  }
});

describe("pickle", () => {
  const bytes = (text: string): Buffer => Buffer.from(text, "latin1");
  test("what would run a command is only a name", () => {
    const marker = join(dir, "ran");
    const value = readPickle(bytes(`\u0080\u0002cos\nsystem\nX${"\u0010\0\0\0"}touch ${"x".repeat(10)}\u0085R.`));
    expect(isObject(value) && value.className).toBe("os.system");
    expect(existsSync(marker)).toBe(false);
  });
  test("numbers, text, containers, memo", () => {
    const value = readPickle(
      bytes(
        "\u0080\u0004}\u0094(\u008c\u0001aK\u0005\u008c\u0001b\u008a\u0002\u00ff\u00ff\u008c\u0001c(K\u0001N\u0088tu.",
      ),
    );
    expect(isDict(value) && value.entries).toEqual([
      ["a", 5],
      ["b", -1],
      ["c", [1, null, true]],
    ]);
  });
  test("opcodes that reach outside, lengths that lie and arbitrary bytes end in MalformedPickle", () => {
    for (const text of [
      "\u0080\u0002P1\n.",
      "\u0080\u0002U\u00ffx.",
      "\u0080\u0002B\u00ff\u00ff\u00ff\u00ffx.",
      "",
      "0000",
      "\u0080\u0009.",
    ]) {
      expect(() => readPickle(bytes(text))).toThrow(MalformedPickle);
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (arbitrary) => {
        try {
          readPickle(arbitrary);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedPickle);
        }
      }),
      { seed: 9, numRuns: 2000 },
    );
  });
});
