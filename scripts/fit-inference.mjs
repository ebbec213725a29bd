/**
 * Fits the constants of the serving model to published runs and writes src/catalog/data/inference-fit.ts.
 *
 *   node scripts/setup.mjs && node scripts/fit-inference.mjs RUNS.json [--iterations 8]
 *
 * Levenberg–Marquardt on logarithms: the sum of Huber losses of log(predicted / measured), plus each constant's prior.
 * Then every configuration in turn is left out: one Gauss–Newton step from the optimum without that configuration's rows
 * gives the constants with which its rows are scored (re-linearised, not re-fitted from scratch).
 */
import { readFileSync, writeFileSync } from "node:fs";

const dist = new URL("../dist/", import.meta.url);
const { inferenceParameters } = await import(new URL("catalog/inference-constants.js", dist));
const { predictRow } = await import(new URL("planner/serve-predict.js", dist));
const { prepareRow } = await import(new URL("planner/serve-readings.js", dist));
const { stepRates } = await import(new URL("planner/serving-rates.js", dist));
const { InferenceRow, configurationOf, rowFingerprint } = await import(new URL("planner/serve-rows.js", dist));

const [file, ...options] = process.argv.slice(2);
const option = (name, otherwise) => {
  const at = options.indexOf(name);
  return at < 0 ? otherwise : Number(options[at + 1]);
};
const iterations = option("--iterations", 8);
const huber = option("--huber", 0.12);
const say = (line) => process.stderr.write(`${line}\n`);

const document = JSON.parse(readFileSync(file, "utf8"));
const rows = (Array.isArray(document) ? document : document.runs)
  .map((row) => prepareRow(InferenceRow.parse(row)))
  .flatMap((p) => (p.ready ? [p.ready] : []));
const names = inferenceParameters.map(({ name }) => name);
const count = names.length;
const asConstants = (theta) => Object.fromEntries(names.map((name, i) => [name, Math.exp(theta[i])]));
const priors = inferenceParameters.map(({ prior }) => Math.log(prior));
const residualOf = (row, constants) => {
  const { predicted } = predictRow(row, constants);
  return Number.isFinite(predicted) && predicted > 0 ? Math.log(predicted / row.measurement.measured) : 3;
};

/** Constants that reach a row: those whose change changes its rates (or its accepted drafts). */
const ratesOf = (row, constants) =>
  JSON.stringify(
    row.readings.slice(0, 2).map((system) => stepRates({ ...system, engine: system.engine.family }, constants)),
  );
const touched = rows.map((row) => {
  const base = asConstants(priors);
  const before = ratesOf(row, base);
  return names.flatMap((name, i) =>
    (name === "reserve" && row.readings[0].engine.reserveGibibytes === undefined) ||
    (name.startsWith("speculative.")
      ? row.flags.drafted > 0
      : ratesOf(row, { ...base, [name]: base[name] * 1.01 }) !== before)
      ? [i]
      : [],
  );
});
say(
  `${rows.length} rows, ${count} constants, ${(touched.flat().length / rows.length).toFixed(1)} reach a row on average`,
);

const weightOf = (r) => (Math.abs(r) <= huber ? 1 : huber / Math.abs(r));
const objective = (residuals, theta) =>
  residuals.reduce((s, r) => s + (Math.abs(r) <= huber ? (r * r) / 2 : huber * (Math.abs(r) - huber / 2)), 0) /
    huber ** 2 +
  theta.reduce((s, t, i) => s + ((t - priors[i]) / inferenceParameters[i].spread) ** 2 / 2, 0);

function solve(matrix, vector) {
  const n = vector.length;
  const a = matrix.map((row, i) => [...row, vector[i]]);
  for (let i = 0; i < n; i++) {
    let pivot = i;
    for (let j = i + 1; j < n; j++) if (Math.abs(a[j][i]) > Math.abs(a[pivot][i])) pivot = j;
    [a[i], a[pivot]] = [a[pivot], a[i]];
    for (let j = i + 1; j < n; j++) {
      const f = a[j][i] / a[i][i];
      if (f !== 0) for (let k = i; k <= n; k++) a[j][k] -= f * a[i][k];
    }
  }
  const x = new Array(n).fill(0);
  for (let i = n - 1; i >= 0; i--) {
    let s = a[i][n];
    for (let j = i + 1; j < n; j++) s -= a[i][j] * x[j];
    x[i] = s / a[i][i];
  }
  return x;
}

function jacobian(theta, residuals) {
  const constants = asConstants(theta);
  const h = 0.03;
  return rows.map((row, r) =>
    touched[r].map(
      (i) => (residualOf(row, { ...constants, [names[i]]: constants[names[i]] * Math.exp(h) }) - residuals[r]) / h,
    ),
  );
}

/** Normal equations with priors over the rows that `keep` admits. */
function normal(theta, residuals, slopes, keep) {
  const matrix = Array.from({ length: count }, () => new Array(count).fill(0));
  const vector = new Array(count).fill(0);
  rows.forEach((row, r) => {
    if (!keep(row)) return;
    const w = weightOf(residuals[r]) / huber ** 2;
    touched[r].forEach((i, a) => {
      vector[i] -= w * slopes[r][a] * residuals[r];
      touched[r].forEach((j, b) => {
        matrix[i][j] += w * slopes[r][a] * slopes[r][b];
      });
    });
  });
  for (let i = 0; i < count; i++) {
    const p = 1 / inferenceParameters[i].spread ** 2;
    matrix[i][i] += p;
    vector[i] -= p * (theta[i] - priors[i]);
  }
  return { matrix, vector };
}

let theta = [...priors];
if (options.includes("--resume")) {
  const { inferenceConstants } = await import(new URL("catalog/inference-constants.js", dist));
  theta = names.map((name) => Math.log(inferenceConstants[name]));
}

let residuals = rows.map((row) => residualOf(row, asConstants(theta)));
let value = objective(residuals, theta);
let damping = 0.1;
let slopes = [];
for (let iteration = 0; iteration < iterations; iteration++) {
  const before = value;
  slopes = jacobian(theta, residuals);
  // A Jacobian costs as much as thirty evaluations, so each is used for a few steps.
  for (let chord = 0; chord < 4; chord++) {
    const { matrix, vector } = normal(theta, residuals, slopes, () => true);
    let taken = false;
    for (let attempt = 0; attempt < 4 && !taken; attempt++) {
      const damped = matrix.map((row, i) => row.map((v, j) => (i === j ? v * (1 + damping) : v)));
      const step = solve(damped, vector).map((s) => Math.max(-0.7, Math.min(0.7, s)));
      const next = theta.map((t, i) => t + step[i]);
      const nextResiduals = rows.map((row) => residualOf(row, asConstants(next)));
      const nextValue = objective(nextResiduals, next);
      taken = nextValue < value;
      if (taken) {
        theta = next;
        residuals = nextResiduals;
        value = nextValue;
        damping /= 4;
      } else damping *= 4;
    }
    if (!taken) break;
  }
  const errors = residuals.map((r) => Math.abs(Math.expm1(r))).sort((a, b) => a - b);
  say(
    `${iteration + 1}: objective ${value.toFixed(1)}, median ${(100 * errors[errors.length >> 1]).toFixed(2)} %, p90 ${(100 * errors[Math.floor(0.9 * errors.length)]).toFixed(1)} %`,
  );
  if (before - value < 2e-3 * value) break;
}

slopes = jacobian(theta, residuals);
const configurations = [...new Set(rows.map(({ row }) => configurationOf(row)))];
const leftOut = configurations.map((configuration) => {
  const keep = ({ row }) => configurationOf(row) !== configuration;
  const { matrix, vector } = normal(theta, residuals, slopes, keep);
  return solve(matrix, vector).map((s) => Math.max(-0.7, Math.min(0.7, s)));
});
const loco = rows.map((row) => {
  const steps = leftOut[configurations.indexOf(configurationOf(row.row))];
  return residualOf(row, asConstants(theta.map((t, i) => t + steps[i])));
});
const errors = loco.map((r) => Math.abs(Math.expm1(r))).sort((a, b) => a - b);
say(
  `left out: median ${(100 * errors[errors.length >> 1]).toFixed(2)} %, p90 ${(100 * errors[Math.floor(0.9 * errors.length)]).toFixed(1)} %`,
);

const informed = normal(theta, residuals, slopes, () => true).matrix;
const gained = names.map((_, i) => 1 - 1 / (informed[i][i] * inferenceParameters[i].spread ** 2));
for (const [i, name] of names.entries()) {
  const pull = (theta[i] - priors[i]) / inferenceParameters[i].spread;
  const reached = touched.filter((own) => own.includes(i)).length;
  say(
    `${name.padEnd(24)} ${Math.exp(theta[i]).toPrecision(3).padStart(9)} ${pull.toFixed(1).padStart(5)} spreads ${(100 * gained[i]).toFixed(0).padStart(3)} % from data, ${reached} rows`,
  );
}

const { likenessOf } = await import(new URL("planner/serve-validate.js", dist));
const { quantile } = await import(new URL("planner/serve-accuracy.js", dist));
const sparse = leftOut.map((steps, c) => {
  const prints = rows
    .filter(({ row }) => configurationOf(row) === configurations[c])
    .map(({ row }) => rowFingerprint(row));
  const deltas = steps.flatMap((s, i) => (Math.abs(s) >= 5e-4 ? [i, Math.round(s * 1000)] : []));
  return `    [${JSON.stringify(prints)}, ${JSON.stringify(deltas)}],`;
});
const date = document.generated ?? new Date().toISOString().slice(0, 10);
writeFileSync(
  new URL("../src/catalog/data/inference-fit.ts", import.meta.url),
  `/** Fitted constants of the serving model, written by scripts/fit-inference.mjs. Knows: numbers. Does not know: their meaning. */
export const inferenceFit: {
  date: string;
  rows: number;
  names: readonly string[];
  values: readonly number[];
  /** Per configuration: fingerprints of its rows, then pairs (index of a name, change of its logarithm in thousandths) without it. */
  leftOut: readonly (readonly [readonly number[], readonly number[]])[];
} = {
  date: ${JSON.stringify(date)},
  rows: ${rows.length},
  names: ${JSON.stringify(names)},
  values: ${JSON.stringify(theta.map((t) => Number(Math.exp(t).toPrecision(5))))},
  leftOut: [
${sparse.join("\n")}
  ],
};
`,
);

const figures = configurations.map((configuration) => {
  const own = rows.flatMap((row, r) =>
    configurationOf(row.row) === configuration ? [{ row, error: Math.abs(Math.expm1(loco[r])) }] : [],
  );
  const first = own[0].row;
  const l = likenessOf(first);
  const lengths = (pick) =>
    quantile(
      own.map(({ row }) => pick(row)),
      0.5,
    );
  const errors = own.map(({ error }) => error);
  const entry = [
    first.row.id,
    first.modelId,
    l.accelerator,
    l.chip,
    l.engine,
    l.kind,
    l.parameters,
    l.format,
    l.devices,
    Math.round(lengths((row) => row.promptTokens)),
    Math.round(lengths((row) => row.outputTokens)),
    own.length,
    Number(quantile(errors, 0.9).toFixed(3)),
    Number(quantile(errors, 0.5).toFixed(3)),
  ];
  return `  ${JSON.stringify(entry)},`;
});
writeFileSync(
  new URL("../src/catalog/data/inference-errors.ts", import.meta.url),
  `/** Left-out errors per published configuration, written by scripts/fit-inference.mjs. Knows: figures. Does not know: how they arose. */
import type { EngineFamily } from "../inference-constants.ts";

/** id of the first row, model, accelerator, chip, engine, kind, parameters, format, devices, prompt and output tokens, rows, p90 and median error. */
export type InferenceErrorRow = readonly [
  string, string, string, string, EngineFamily, "dense" | "mixture" | "latent", number, string, number, number, number, number, number, number,
];

/** In the order of inferenceFit.leftOut. */
export const inferenceErrors: readonly InferenceErrorRow[] = [
${figures.join("\n")}
];
`,
);
