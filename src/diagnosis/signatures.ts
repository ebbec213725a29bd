/**
 * Prepares the rule base for one pass over bytes: which short strings betray a line that is worth reading, and which rules each stands for.
 * Knows: rules, the texts of progress, launches and vendors. Does not know: lines' meaning (match), files.
 */
import { listedCannCodes } from "../catalog/fault-codes.ts";
import { type FaultFamily, type FaultRule, faultRules } from "../catalog/fault-rules.ts";
import { encodings } from "./encode-text.ts";
import { buildFinder, type Finder, type Pattern } from "./finder.ts";

/** What a hit on a line may mean, as bits. */
export const hit = {
  /** Some rule may match: decode the line. */
  candidate: 4,
  /** A step was made, a request answered. */
  progress: 8,
  /** The line of a step names its loss. */
  loss: 16,
  /** A new launch may begin here. */
  launch: 32,
  nvidia: 64,
  ascend: 128,
  /** The number of ranks may be named. */
  world: 256,
  megatron: 512,
  /** A progress bar moved; weaker than a step, since bars of loading go on beside a dead rank. */
  bar: 1024,
} as const;

export interface CompiledRule {
  readonly rule: FaultRule;
  readonly regex: RegExp | undefined;
}

/** Strings of `all` lists shorter than this are too common to look for; they are only checked. */
export const strongCharacters = 8;
/** A scan needs only the beginning of a long string. */
const scannedBytesMax = 32;
/** Words of healthy logs, so that the finder looks for rarer ones. */
const commonText = [
  " [2026-11-24 10:00:00.123456] iteration 100/ 10000 | consumed samples: 102400 | elapsed time per iteration (ms): 1234.5 |",
  " throughput per GPU (TFLOP/s/GPU): 412.3 | learning rate: 1.500000E-04 | global batch size:  1024 | lm loss: 2.443476E+00 |",
  " loss scale: 1.0 | grad norm: 1.234 | number of skipped iterations:   0 | number of nan iterations:   0 | params norm: 1.0 |",
  "nv1:4242:4300 [3] NCCL INFO Channel 15/0 : 1[c5000] -> 0[29000] via P2P/IPC/read NET/IB/0/GDRDMA comm 0x55 rank 0 nranks 8",
  "[2026-11-24 10:00:00,311] [INFO] [config.py:733:__init__] [Rank 0] WARNING: step error: device torch model checkpoint saved",
  "INFO 11-24 10:00:00 [loggers.py:118] Engine 000: Avg prompt throughput: 10.0 tokens/s, Avg generation throughput: 20 tokens/s, Running: 1 reqs",
  "step: 10  loss:  7.76543  grad_norm:  2.3456  memory: 45.12GiB(56.78%)  tps: 5,678  tflops: 123.45  mfu: 39.58% training time rank",
].join("\n");

const progressTexts = [
  ...["elapsed time per iteration", "completed step:", "grad_norm:", "samplespersec", "samples/sec"],
  ...["tokens/s", "{'loss':", "per step time", "step_time", "step time", "generation throughput", "200 ok", "tps:"],
  ...[
    "checkpoint saved",
    "successfully saved checkpoint",
    "saved checkpoint",
    "iter_time",
    "ms/step",
    "training completed",
  ],
  ...["training finished", "after training is done", "loss is ", ": loss ", "train_loss", "tok/s", "training complete"],
  ...["timing_s/", "training: step", "avg_batch_cost", "samples/s", "total_loss:", "prefill batch", "decode batch"],
];
const launchTexts = [
  ...["starting elastic_operator", "restarting worker group", "starting worker group", "rendezvous'ing worker group"],
  ...["time to initialize megatron", "initializing torch distributed", "slurm_restart_count", "attempt", "restart"],
  ...["deepspeed.launcher.runner", "vllm api server version", "requeue", "relaunch", "world size:", "重新启动", "重启"],
];
const nvidiaTexts = ["nccl", "cuda", "nvrm", "nvidia", "h100", "h800", "a100"];
const ascendTexts = [
  "hccl",
  "torch_npu",
  "ascend9",
  "ascend3",
  "ascend_",
  "ascend-",
  "ascend/",
  "ascend ",
  " npu",
  "npu:",
  "cann ",
  "davinci",
  "mindspeed",
  "mindspore",
];
const worldTexts = ["world size", "world_size", "nproc_per_node", "nproc-per-node", "clients joined"];

/** For each family: how its value is read, and what betrays it; anchors with capitals must be written so. */
export const families: Readonly<
  Record<Exclude<FaultFamily, "exit-code">, { regex: RegExp; anchors: readonly string[] }>
> = {
  xid: { regex: /NVRM: Xid \((?:PCI:)?[0-9a-f:.]+\)(?:[^:]{0,40})?: (\d{1,3})\b/i, anchors: ["nvrm: xid"] },
  sxid: { regex: /SXid \((?:PCI:)?[0-9a-f:.]+\): (\d{5})\b/i, anchors: ["sxid ("] },
  "npu-event": {
    regex:
      /(?:event[ _]?id|event ?code|fault ?code|alarm ?id|error ?code)["']?\s*[:=]\s*[[("']*\s*(?:0x)?(8[01c][0-9a-f]{6})\b/i,
    anchors: [
      "event id",
      "event_id",
      "eventid",
      "event code",
      "fault code",
      "faultcode",
      "alarm id",
      "alarmid",
      "error code",
      "eventcode",
      "event_code",
      "fault_code",
    ],
  },
  "acl-return": {
    regex:
      /(?:error code is|error code:|runtime result ?=|retcode ?[=:]|errno ?[:=]|ret ?=|failure|failed:|error code ?=)\s*\[?([1235]\d{5})\b/i,
    anchors: [
      "error code",
      "runtime result",
      "retcode",
      "errno",
      "ret=",
      "ret = ",
      "failure ",
      "failed: 507",
      "failed: 107",
      "failed: 207",
    ],
  },
  "torch-npu": { regex: /\b(ERR\d{5})\b/, anchors: ["err0", "err99999"] },
  "cann-code": {
    regex: /(?<![A-Za-z0-9])(E[A-Z]\d{4}|E[1-9]\d{4})(?=[:\])]|\[PID|(?<=^E\d{5}) {2})/,
    anchors: [
      "ec00",
      "ei00",
      "ei99",
      "ee10",
      "ee99",
      "ez10",
      "ez30",
      "ez99",
      "eh00",
      "eh99",
      "el00",
      "el99",
      "ej00",
      "ej99",
    ],
  },
  exception: {
    regex:
      /^(?:[|+ ]*)((?:[A-Za-z_]\w*\.)*(?:Exception|_?[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Failure|Timeout|Unsupported|Empty|File|Iteration|Invalid|Killed|ReadTimeoutError)))(?:\((\w+)\))?(?::|$)/,
    anchors: [
      "Error:",
      "Exception:",
      "Error):",
      "KeyboardInterrupt",
      "AssertionError",
      "KeyError",
      "StopIteration",
      "SystemExit",
      "NotImplementedError",
      "MemoryError",
      "Unsupported:",
      "BadZipFile:",
      "ArrowInvalid:",
      "Empty",
      "EOFError",
      "Failure:",
      "RecursionError",
    ],
  },
};

const compile = (rule: FaultRule): CompiledRule => ({
  rule,
  regex: rule.regex === undefined ? undefined : new RegExp(rule.regex, rule.caseSensitive ? "" : "i"),
});

export const compiledRules: readonly CompiledRule[] = faultRules.map(compile);

/** Family and value → rule; `cann-code` also by its first two letters. */
export const rulesByValue: ReadonlyMap<string, CompiledRule> = new Map(
  compiledRules.flatMap((compiled): [string, CompiledRule][] => {
    const { family, value } = compiled.rule;
    return family === undefined || value === undefined ? [] : [[`${family} ${value}`, compiled]];
  }),
);

/** What an anchor's id stands for: a rule, or a family. */
export type Anchored = { readonly rule: CompiledRule } | { readonly family: keyof typeof families };

export interface Signatures {
  readonly finder: Finder;
  /** By pattern id; ids beyond it are texts without rules. */
  readonly anchored: readonly Anchored[];
}

let prepared: Signatures | undefined;

/** Built once, when the first log is opened. */
export function signatures(): Signatures {
  prepared ??= prepare();
  return prepared;
}

function prepare(): Signatures {
  const anchored: Anchored[] = [];
  const patterns: Pattern[] = [];
  const add = (texts: readonly string[], flags: number, id: number): void => {
    for (const text of texts) {
      const small = text.toLowerCase();
      const cased =
        small === text || !/^[ -~]*$/.test(text)
          ? {}
          : { cased: new TextEncoder().encode(text.slice(0, scannedBytesMax)) };
      for (const bytes of encodings(small))
        patterns.push({ bytes: bytes.slice(0, scannedBytesMax), flags, ...cased, id });
    }
  };
  for (const rule of compiledRules) {
    const texts = [...(rule.rule.anchors ?? []), ...(rule.rule.all ?? []).flatMap(strongOf)];
    if (texts.length > 0) add(texts, hit.candidate, anchored.push({ rule }) - 1);
  }
  for (const family of Object.keys(families)) {
    if (!isFamily(family)) continue;
    const listed = family === "cann-code" ? listedCannCodes().map((code) => code.toLowerCase()) : [];
    add([...families[family].anchors, ...listed], hit.candidate, anchored.push({ family }) - 1);
  }
  const none = anchored.length;
  add(progressTexts, hit.progress, none);
  add(["it/s", "s/it"], hit.bar, none);
  add(["elapsed time per iteration"], hit.megatron, none);
  add([" loss:"], hit.loss, none);
  add(launchTexts, hit.launch, none);
  add(nvidiaTexts, hit.nvidia, none);
  add(ascendTexts, hit.ascend, none);
  add(worldTexts, hit.world, none);
  return { finder: buildFinder(patterns, commonText), anchored };
}

const isFamily = (name: string): name is keyof typeof families => name in families;

/** The strings of a list to look for: all strong ones, else the longest. */
export function strongOf(all: readonly string[]): string[] {
  const strong = all.filter((text) => text.length >= strongCharacters);
  return strong.length > 0 ? strong : all.toSorted((a, b) => b.length - a.length).slice(0, 1);
}
