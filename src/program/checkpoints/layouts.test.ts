/**
 * Layouts that frameworks really write, beside the plain ones of checkpoints.test.ts. Names are those of Megatron-LM d98e8a64
 * (training/checkpointing.py), transformers' and accelerate's Trainer, DeepSpeed edaa7221 (runtime/engine.py) and Lightning.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ProgramCheckpointFormat } from "../../spec/program.ts";
import { newestCheckpoint } from "./newest.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "dualgauge-layouts-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function put(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(join(dir, path)), { recursive: true });
  writeFileSync(join(dir, path), content);
}
const archive = Buffer.concat([
  Buffer.from("PK\u0003\u0004"),
  Buffer.alloc(100, 7),
  Buffer.from("PK\u0005\u0006"),
  Buffer.alloc(18),
]);
const look = (format: ProgramCheckpointFormat) => newestCheckpoint({ dir, format });

/** A pickle of `_StorageInfo(relative_path=…, offset=0, length=…)`: all that is looked at of a `.metadata`. */
function metadata(file: string, length: number): Buffer {
  const text = (value: string): string => `X${String.fromCharCode(value.length)}\0\0\0${value}`;
  const info = `ctorch.distributed.checkpoint.filesystem\n_StorageInfo\n)\u0081}(${text("relative_path")}${text(file)}`;
  return Buffer.from(
    `\u0080\u0002${info}${text("offset")}K\0${text("length")}K${String.fromCharCode(length)}ub.`,
    "latin1",
  );
}
function distributed(path: string): void {
  put(`${path}/__0_0.distcp`, Buffer.alloc(50));
  put(`${path}/.metadata`, metadata("__0_0.distcp", 50));
}

test("Megatron's torch_dcp and fsdp_dtensor have no metadata.json: committed by the tracker, or alone among their like", async () => {
  distributed("iter_0000100");
  distributed("iter_0000200");
  put("latest_checkpointed_iteration.txt", "200");
  expect((await look("megatron")).newest?.step).toBe(200);
  put("latest_checkpointed_iteration.txt", "100");
  expect(await look("megatron")).toMatchObject({
    newest: { step: 100 },
    rejected: [{ why: "metadata.json: is missing" }],
  });
  put("latest_checkpointed_iteration.txt", "");
  expect((await look("megatron")).newest?.step).toBe(200);
  truncateSync(join(dir, "iter_0000200/__0_0.distcp"), 40);
  expect((await look("megatron")).rejected[0]?.why).toBe("__0_0.distcp: has 40 bytes of 50");
});

test("Megatron's torch_dist with its common.pt, and ranks in pipeline stages", async () => {
  for (const step of ["0000100", "0000200"]) {
    distributed(`iter_${step}`);
    put(`iter_${step}/common.pt`, archive);
    put(`iter_${step}/metadata.json`, '{"sharded_backend": "torch_dist", "sharded_backend_version": 1}');
  }
  put("latest_checkpointed_iteration.txt", "200");
  expect((await look("megatron")).newest?.step).toBe(200);
  truncateSync(join(dir, "iter_0000200/common.pt"), 60);
  expect((await look("megatron")).rejected[0]?.why).toBe("common.pt: is cut short");
  for (const rank of ["mp_rank_00_000", "mp_rank_00_001", "mp_rank_01_000", "mp_rank_01_001"]) {
    put(`iter_0000300/${rank}/model_optim_rng.pt`, archive);
    put(`iter_0000300/${rank}/distrib_optim.pt`, archive);
  }
  expect((await look("megatron")).newest?.step).toBe(300);
  put("latest_checkpointed_iteration.txt", "release");
  expect((await look("megatron")).newest?.step).toBe(300);
});

test("Hugging Face under FSDP: weights and optimizer are distributed checkpoints beside the state", async () => {
  for (const step of [10, 20]) {
    distributed(`checkpoint-${step}/pytorch_model_fsdp_0`);
    distributed(`checkpoint-${step}/optimizer_0`);
    put(`checkpoint-${step}/trainer_state.json`, JSON.stringify({ global_step: step }));
  }
  expect((await look("hf")).newest?.step).toBe(20);
  rmSync(join(dir, "checkpoint-20/optimizer_0/.metadata"));
  expect(await look("hf")).toMatchObject({
    newest: { step: 10 },
    rejected: [{ why: "optimizer_0/.metadata: is missing" }],
  });
  put("checkpoint-30/pytorch_model_fsdp.bin", archive);
  put("checkpoint-30/trainer_state.json", JSON.stringify({ global_step: 30 }));
  expect((await look("hf")).newest?.step).toBe(30);
});

test("Hugging Face under DeepSpeed ZeRO-3, which gathers no weights", async () => {
  for (const step of [10, 20]) {
    for (const rank of [0, 1]) {
      put(`checkpoint-${step}/global_step${step}/zero_pp_rank_${rank}_mp_rank_00_model_states.pt`, archive);
      put(`checkpoint-${step}/global_step${step}/bf16_zero_pp_rank_${rank}_mp_rank_00_optim_states.pt`, archive);
      put(`checkpoint-${step}/rng_state_${rank}.pth`, archive);
    }
    put(`checkpoint-${step}/latest`, `global_step${step}`);
    put(`checkpoint-${step}/trainer_state.json`, JSON.stringify({ global_step: step }));
  }
  expect((await look("hf")).newest?.step).toBe(20);
  rmSync(join(dir, "checkpoint-20/global_step20/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt"));
  expect(await look("hf")).toMatchObject({
    newest: { step: 10 },
    rejected: [{ why: expect.stringContaining("global_step20/") }],
  });
  put("checkpoint-30/trainer_state.json", JSON.stringify({ global_step: 30 }));
  expect((await look("hf")).rejected[0]?.why).toBe("holds no weights");
});

test("DeepSpeed: pipeline layers, experts, and ZeRO-3 without a model file", async () => {
  for (const layer of ["00", "01"]) put(`global_step5/layer_${layer}-model_00-model_states.pt`, archive);
  put("global_step5/mp_rank_00_model_states.pt", archive);
  put("global_step10/layer_0_expert_0_mp_rank_00_model_states.pt", archive);
  put("global_step10/expp_rank_0_mp_rank_00_optim_states.pt", archive);
  put("global_step10/mp_rank_00_model_states.pt", archive);
  for (const layer of ["00", "01"]) put(`global_step10/layer_${layer}-model_00-model_states.pt`, archive);
  expect((await look("deepspeed")).newest?.step).toBe(10);
  truncateSync(join(dir, "global_step10/expp_rank_0_mp_rank_00_optim_states.pt"), 50);
  expect((await look("deepspeed")).rejected[0]?.why).toMatch(/^expp_rank_0.*is cut short$/);
});

test.each([
  ["epoch=3-step=400.ckpt", 400],
  ["epoch=3-step=400-v1.ckpt", 400],
  ["epoch=03-step=000400-train_loss=0.12.ckpt", 400],
  ["model_000010.pth", 10],
  ["20.pt", 20],
  ["last.ckpt", undefined],
  [".hidden-5.pt", undefined],
])("torch: %s is of step %s", async (name, step) => {
  put(name, archive);
  expect((await look("torch")).newest?.step).toBe(step);
});

test.each(["step-100", "global_step_100", "epoch_0_step_100", "checkpoint-100", "100"])(
  "dcp: a folder %s",
  async (name) => {
    distributed(name);
    expect((await look("dcp")).newest).toEqual({ step: 100, path: join(dir, name) });
  },
);

/** What stands where a file is expected: pipes that nobody writes to, loops, folders, devices without an end. */
const strange: readonly (readonly [string, (path: string) => void])[] = [
  ["a pipe", (path) => execFileSync("mkfifo", [path])],
  ["a loop of links", (path) => symlinkSync(path, path)],
  ["a folder", (path) => mkdirSync(path)],
  ["an endless device", (path) => symlinkSync("/dev/zero", path)],
  ["a link to nothing", (path) => symlinkSync("nowhere", path)],
];
const places: readonly (readonly [ProgramCheckpointFormat, string, string])[] = [
  ["megatron", "iter_0000200", "iter_0000200/mp_rank_00/model_optim_rng.pt"],
  ["megatron", "iter_0000200", "iter_0000200/mp_rank_00"],
  ["megatron", "iter_0000200", "iter_0000200"],
  ["dcp", "step-200", "step-200/.metadata"],
  ["dcp", "step-200", "step-200/__0_0.distcp"],
  ["deepspeed", "global_step200", "global_step200/mp_rank_00_model_states.pt"],
  ["deepspeed", "global_step200", "global_step200"],
  ["hf", "checkpoint-200", "checkpoint-200/pytorch_model.bin"],
  ["hf", "checkpoint-200", "checkpoint-200/trainer_state.json"],
  ["torch", "step-200.pt", "step-200.pt"],
];
test.each(strange)("%s instead of a file or folder: the one before is taken, and nobody waits", async (_, make) => {
  for (const [format, , place] of places) {
    rmSync(dir, { recursive: true, force: true });
    for (const step of ["100", "200"]) {
      put(`iter_0000${step}/mp_rank_00/model_optim_rng.pt`, archive);
      distributed(`step-${step}`);
      put(`global_step${step}/mp_rank_00_model_states.pt`, archive);
      put(`checkpoint-${step}/pytorch_model.bin`, archive);
      put(`checkpoint-${step}/trainer_state.json`, JSON.stringify({ global_step: Number(step) }));
      put(`step-${step}.pt`, archive);
    }
    rmSync(join(dir, place), { recursive: true });
    make(join(dir, place));
    const { newest, rejected } = await look(format);
    expect([format, place, newest?.step]).toEqual([format, place, 100]);
    expect(rejected[0]?.why, place).toMatch(/./);
  }
});

test.each(strange)("%s instead of a tracker: the folders decide", async (_, make) => {
  put("iter_0000100/mp_rank_00/model_optim_rng.pt", archive);
  put("global_step100/mp_rank_00_model_states.pt", archive);
  make(join(dir, "latest_checkpointed_iteration.txt"));
  make(join(dir, "latest"));
  expect((await look("megatron")).newest?.step).toBe(100);
  expect((await look("deepspeed")).newest?.step).toBe(100);
});
