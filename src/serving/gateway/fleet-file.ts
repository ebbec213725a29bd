/**
 * The file that `serve FLEET.yaml` reads: which backends answer, how requests are spread, who may ask, what is enough to distrust one.
 * Knows: keys, defaults, how keys refer to each other. Does not know: YAML, sockets, live state.
 */
import * as z from "zod";
import { BadInput, didYouMean } from "../../spec/bad-input.ts";

/** What answers behind a URL; it decides what the API can do (continuation.ts). */
export const engines = ["vllm", "vllm-ascend", "sglang", "mindie", "openai", "embedded"] as const;

const name = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, "lower-case letters, digits, dot, dash and underscore");
const percent = z.number().min(0).max(100);
const seconds = z.number().positive().max(86_400);

export const FleetBackend = z.strictObject({
  name,
  /** Of the server, without `/v1`; exactly one of url and directory. */
  url: z.url({ protocol: /^https?$/ }).optional(),
  /** A model that the embedded engine answers from. */
  directory: z.string().min(1).optional(),
  platform: z.enum(["nvidia", "ascend", "cpu"]),
  engine: z.enum(engines),
  /** The name that clients give → the name that this backend knows. */
  models: z.record(z.string().min(1), z.string().min(1)).optional(),
  /** Relative share that it is given when all else is equal. */
  weight: z.number().positive().max(1000).default(1),
  /** Of prompt and answer tokens alike. */
  dollarsPerMillionTokens: z.number().nonnegative().default(0),
  /** Requests at once that it answers at full speed; more are slower in proportion. */
  capacity: z.int().positive().default(64),
  /** Environment variable with the bearer token that this backend asks for. */
  apiKeyEnv: z
    .string()
    .regex(/^[A-Z_][A-Z0-9_]*$/, "a name of an environment variable")
    .optional(),
  /** Takes no new request; those in flight end. */
  drain: z.boolean().default(false),
  /** Whether a chat answer can be continued from its text (continue_final_message); absent: what the engine is known for. */
  continues: z.boolean().optional(),
});
export type FleetBackend = z.infer<typeof FleetBackend>;

export const FleetKey = z.strictObject({
  name,
  /** Hex SHA-256 of the key. Keys are random and long, so that a slow hash would add nothing. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/, "64 lower-case hexadecimal digits"),
  requestsPerMinute: z.number().positive().optional(),
  tokensPerMinute: z.number().positive().optional(),
  /** Models that it may ask for; absent: all. */
  models: z.array(z.string()).min(1).optional(),
});
export type FleetKey = z.infer<typeof FleetKey>;

export const Health = z.strictObject({
  /** Failures in a row that open the breaker. */
  failures: z.int().positive().default(3),
  /** Share of the last 20 outcomes that opens it too. */
  failureShare: z.number().gt(0).max(1).default(0.5),
  /** First wait before a backend is tried again; doubles with each failed trial up to `openSecondsMax`. */
  openSeconds: seconds.default(2),
  openSecondsMax: seconds.default(60),
  /** Times its own usual time to the first token, from which an answer counts as slow. */
  slowFactor: z.number().gt(1).default(10),
  connectSeconds: seconds.default(3),
  /** Silence before the first token, and between tokens, after which an answer is given up. */
  firstTokenSeconds: seconds.default(60),
  stallSeconds: seconds.default(20),
  /** For an answer that is not streamed, from sending to its end. */
  answerSeconds: seconds.default(600),
});
export type Health = z.infer<typeof Health>;

export const Routing = z.strictObject({
  /** Seconds of waiting that one dollar is worth; 0 looks at time alone. */
  secondsPerDollar: z.number().nonnegative().default(0),
  /** A conversation stays on its backend while that is expected to take at most this many times the best. */
  affinitySlack: z.number().min(1).default(1.5),
  /** How long a request looks for a backend before it gets 503. */
  giveUpSeconds: seconds.default(10),
});

export const Canary = z.strictObject({
  backend: name,
  percent,
  /** Of canary requests, how many are asked again of both sides at temperature 0 and compared. */
  comparePercent: percent.default(20),
  samplesMin: z.int().min(4).default(20),
  /** Agreement that the canary may lack, against what the others agree with themselves, before it is rolled back. */
  tolerance: z.number().min(0).max(1).default(0.1),
  tokens: z.int().positive().max(4096).default(64),
});
export type Canary = z.infer<typeof Canary>;

export const FleetFile = z.strictObject({
  listen: z
    .strictObject({ host: z.string().min(1).default("127.0.0.1"), port: z.int().min(0).max(65_535).default(8000) })
    .prefault({}),
  backends: z.array(FleetBackend).min(1).max(256),
  routing: Routing.prefault({}),
  health: Health.prefault({}),
  canary: Canary.optional(),
  shadow: z.strictObject({ backend: name, percent, inFlightMax: z.int().positive().default(16) }).optional(),
  limits: z
    .strictObject({
      bodyBytes: z
        .int()
        .positive()
        .max(2 ** 30)
        .default(16 * 2 ** 20),
      headerBytes: z
        .int()
        .min(1024)
        .max(2 ** 20)
        .default(16_384),
      /** Requests at once over all backends; more get 503. */
      inFlight: z.int().positive().default(4096),
      /** For a client to send its headers and its body. */
      requestSeconds: seconds.default(60),
      /** An answer that is not streamed and is larger than this is refused. */
      answerBytes: z
        .int()
        .positive()
        .max(2 ** 30)
        .default(256 * 2 ** 20),
    })
    .prefault({}),
  /** Absent: everybody who reaches the port may ask. */
  keys: z.array(FleetKey).min(1).optional(),
  tls: z.strictObject({ certFile: z.string().min(1), keyFile: z.string().min(1) }).optional(),
  /** Absent: no page of another origin may read answers. */
  cors: z.strictObject({ origins: z.array(z.string().min(1)).min(1) }).optional(),
  /** A file that gets one JSON line a request, or `-` for stderr. */
  accessLog: z.string().min(1).optional(),
  drainSeconds: seconds.default(30),
  /** How long an interrupted stream can be resumed. */
  resumeSeconds: seconds.default(600),
});
export type FleetFile = z.infer<typeof FleetFile>;

/** The parsed value as a FleetFile, or BadInput with a line for each problem; `file` is how the file is called in them. */
export function parseFleetFile(value: unknown, file: string): FleetFile {
  const parsed = FleetFile.safeParse(value);
  if (!parsed.success) throw new BadInput(...parsed.error.issues.flatMap((issue) => problemLines(issue, file, value)));
  const fleet = parsed.data;
  const problems = [...backendProblems(fleet, file), ...referenceProblems(fleet, file)];
  if (problems.length > 0) throw new BadInput(...problems);
  return fleet;
}

function backendProblems({ backends }: FleetFile, file: string): string[] {
  const problems: string[] = [];
  for (const [index, backend] of backends.entries()) {
    const where = `${file} backends.${index}`;
    if (backends.findIndex((other) => other.name === backend.name) !== index)
      problems.push(`${where}.name: ${backend.name} is there twice; give each its own`);
    if ((backend.url === undefined) === (backend.directory === undefined))
      problems.push(`${where}: give exactly one of url and directory`);
    if ((backend.engine === "embedded") !== (backend.directory !== undefined))
      problems.push(`${where}.engine: a directory needs engine embedded, and a url any other`);
    if (backend.url !== undefined && (backend.models === undefined || Object.keys(backend.models).length === 0))
      problems.push(`${where}.models: is missing; name each model: {name for clients: name at the backend}`);
  }
  return problems;
}

function referenceProblems({ backends, canary, shadow, keys = [] }: FleetFile, file: string): string[] {
  const problems: string[] = [];
  const names = backends.map((backend) => backend.name);
  for (const [where, to] of [
    ["canary.backend", canary?.backend],
    ["shadow.backend", shadow?.backend],
  ] as const) {
    if (to !== undefined && !names.includes(to))
      problems.push(`${file} ${where}: no backend ${to}${didYouMean(to, names) || `; there is ${names.join(", ")}`}`);
  }
  if (canary !== undefined && canary.backend === shadow?.backend)
    problems.push(`${file} shadow.backend: is the canary already; leave one of the two out`);
  if ((canary !== undefined || shadow !== undefined) && backends.length < 2)
    problems.push(`${file} backends: a canary or a shadow needs another backend beside it; add one`);
  for (const [index, key] of keys.entries()) {
    if (keys.findIndex((other) => other.name === key.name || other.sha256 === key.sha256) !== index)
      problems.push(`${file} keys.${index}: its name or hash is there twice; give each its own`);
  }
  return problems;
}

function problemLines(issue: z.core.$ZodIssue, file: string, value: unknown): string[] {
  const where = issue.path.map(String).join(".");
  if (issue.code === "unrecognized_keys") {
    const known = knownKeys(issue.path);
    return issue.keys.map((key) => {
      const path = [...issue.path.map(String), key].join(".");
      return `${file} ${path}: unknown key${didYouMean(key, known) || `; keys here are ${known.join(", ")}`}`;
    });
  }
  let given = value;
  for (const key of issue.path)
    given = typeof given === "object" && given !== null ? Reflect.get(given, key) : undefined;
  if (issue.code === "invalid_type" && given === undefined)
    return [`${file} ${where}: is missing; give ${issue.expected}`];
  return [`${file} ${where}: ${issue.message}; change it`];
}

/** Keys that the schema has at `path`, for suggesting the nearest. */
function knownKeys(path: readonly PropertyKey[]): string[] {
  let node: unknown = z.toJSONSchema(FleetFile, { io: "input", unrepresentable: "any" });
  for (const key of path) node = inside(node, typeof key === "number" ? ["items"] : ["properties", String(key)]);
  const properties = inside(node, ["properties"]);
  return typeof properties === "object" && properties !== null ? Object.keys(properties) : [];
}

function inside(node: unknown, path: readonly string[]): unknown {
  let at = node;
  for (const key of path) at = typeof at === "object" && at !== null ? Reflect.get(at, key) : undefined;
  return at;
}
