/**
 * Guesses whose area an error is that no rule lists, from the words it is told in.
 * Knows: words that name memory, disks, networks, kits, crashes. Does not know: any exact signature (catalog), lines, levels.
 */
import type { FaultRule } from "../catalog/fault-rules.ts";

type Guess = Pick<FaultRule, "layer" | "category" | "action" | "says">;

/** The first that fits holds: what is said exactly stands before what is said of many things. */
const byWords: readonly (readonly [RegExp, Guess])[] = [
  [
    /out of memory|\boom\b|(?:can ?not|can't|could not|unable to|failed to|fail to) (?:allocate|malloc|reserve)|allocation fail|insufficient (?:\w+ )?memory|not enough (?:\w+ )?memory|memory (?:is )?(?:exhausted|insufficient|full)|bad_alloc|内存不足|显存不足/i,
    {
      layer: "program",
      category: "memory",
      action: "fix-job",
      says: "memory that the program asked for could not be had",
    },
  ],
  [
    /no space|disk (?:is )?full|quota|(?:out of|insufficient|not enough|no) (?:disk|storage)|磁盘(?:空间)?(?:不足|已满)/i,
    { layer: "host", category: "storage", action: "free-space", says: "there is no room left to write to" },
  ],
  [
    /\b(?:nan|non-?finite|not finite|infinite)\b|diverged|gradient (?:explo|overflow)|loss scal\w+ .{0,40}(?:minimum|too small)/i,
    {
      layer: "program",
      category: "numerics",
      action: "restart",
      says: "a number that the program computed is not finite",
    },
  ],
  [
    /corrupt|truncated|checksum|crc\b|incomplete (?:file|checkpoint|shard)|unexpected (?:end of|eof)|bad magic|i\/o error|input\/output|(?:read|write) error|file ?system|mount point|file write failed|central directory|safetensors|\b(?:s3|hdfs|oss|gcs|blob|bucket)\b|存储|损坏/i,
    {
      layer: "host",
      category: "storage",
      action: "restart",
      says: "something that is stored could not be read or written",
    },
  ],
  [
    /nccl|hccl|gloo|rdma|infiniband|\broce\b|\bib\b|socket|connect(?:ion|ed|ing)? ?(?:to|refused|reset|closed|lost|fail|error|time|abort)|failed to connect|disconnect|network|unreachable|time[ds]? ?-?out|deadline|rendezvous|tcpstore|c10d|broken pipe|handshake|all-?reduce|all-?gather|barrier|peer|超时|网络|连接/i,
    {
      layer: "collective",
      category: "interconnect",
      action: "restart",
      says: "processes of the job could not speak with each other",
    },
  ],
  [
    /undefined symbol|shared object|\.so(?:\.\d+)?\b|\bversions?\b.{0,40}(?:mismatch|incompatib|required|conflict|unsupported|expected)|(?:mismatch|incompatib|unsupported|requires?|old|expected).{0,40}\bversions?\b|driver|compil|not (?:been )?(?:built|compiled) with|nvcc|ninja|\bptx\b|cudnn|cublas|not (?:supported|implemented|available) (?:on|for|by|with) .{0,40}(?:device|gpu|npu|arch|backend|hardware|platform)|unsupported (?:gpu|device|arch|compute|hardware)|torch_extensions|(?:is|are) not installed|no module named/i,
    {
      layer: "program",
      category: "software-kit",
      action: "fix-job",
      says: "parts of the installed software do not fit each other or the device",
    },
  ],
  [
    /ecc\b|hardware|device (?:lost|hang|hung|error|fail\w*|reset|not respond)|fell off|fallen off|illegal memory|misaligned|launch failure|掉卡|故障/i,
    { layer: "runtime", category: "instability", action: "restart", says: "a device failed while it ran the program" },
  ],
  [
    /killed|crash|segmentation|segfault|core dumped|\bsignal \d+|sig(?:kill|segv|abrt|bus)|\bdied\b|\bdead\b|exited unexpectedly|unexpected(?:ly)? (?:exit|terminat|died)|\bhang|\bhung\b|\bstuck\b|heartbeat|unresponsive|not respond|lost (?:worker|node|rank)|崩溃|卡死|被杀/i,
    { layer: "exit", category: "instability", action: "restart", says: "a process ended or stood still" },
  ],
];

/** Undefined where the words name no area. */
export const guessFromWords = (text: string): Guess | undefined => byWords.find(([words]) => words.test(text))?.[1];

const spaced = (name: string): string =>
  name.replace(/(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, " ").toLowerCase();

const byName: readonly (readonly [RegExp, Guess])[] = [
  [
    /\bmemory\b|out of|exhausted|\boom\b|store full/,
    {
      layer: "program",
      category: "memory",
      action: "fix-job",
      says: "memory that the program asked for could not be had",
    },
  ],
  [
    /nccl|hccl|gloo|dist |rendezvous|network|socket|connect|timeout|timed out|deadline|unreachable|unavailable|rpc|heartbeat|barrier|collective|communicat|peer/,
    {
      layer: "collective",
      category: "interconnect",
      action: "restart",
      says: "processes of the job could not speak with each other",
    },
  ],
  [
    /died|dead|killed|crash|worker|actor|child|process|engine|aborted|terminated|preempted/,
    { layer: "exit", category: "instability", action: "restart", says: "a process of the job ended" },
  ],
  [
    /checkpoint|safetensor|corrupt|checksum|\bio\b|disk|storage|blob|file system|read only/,
    {
      layer: "exit",
      category: "storage",
      action: "restart",
      says: "something that is stored could not be read or written",
    },
  ],
  [
    /\bnan\b|floating|non finite|diverge/,
    {
      layer: "program",
      category: "numerics",
      action: "restart",
      says: "a number that the program computed is not finite",
    },
  ],
  [
    /compil|dynamo|inductor|triton|backend|driver|unsupported|symbol|library|version|toolchain|ptx|cuda|nvrtc/,
    {
      layer: "program",
      category: "software-kit",
      action: "fix-job",
      says: "parts of the installed software do not fit each other or the device",
    },
  ],
];

/** From the name of an exception's class, such as `RendezvousConnectionError`. */
export const guessFromName = (name: string): Guess | undefined => {
  const words = spaced(name);
  return byName.find(([pattern]) => pattern.test(words))?.[1];
};
