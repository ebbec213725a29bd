/**
 * Counts what happens for Prometheus, under vLLM's names where vLLM has the figure.
 * Knows: names, labels, buckets. Does not know: when requests end, HTTP.
 * Names and buckets: vllm/v1/metrics/loggers.py. Figures of vLLM are per engine; here they are per backend, by a label more.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Summary } from "./exchange.ts";
import type { FleetLive } from "./fleet-live.ts";

const firstTokenBuckets = [
  ...[0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75],
  ...[1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560],
];
const latencyBuckets = [
  ...[0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40],
  ...[50, 60, 120, 240, 480, 960, 1920, 7680],
];

export interface Metrics {
  ended(summary: Summary, more: { model: string; seconds: number; status: number }): void;
  noted(what: "opened" | "failover" | "continued", backend: string): void;
  interrupted(): void;
  compared(verdict: { agreement: number; selfAgreement: number; samples: number }): void;
  shadowed(outcome: string): void;
  readonly contentType: string;
  text(): Promise<string>;
}

export function createMetrics(fleet: () => FleetLive): Metrics {
  const registers = [new Registry()];
  const perModel = ["model_name", "backend"];
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name, help, labelNames, registers });
  const prompts = counter("vllm:prompt_tokens_total", "Tokens read.", perModel);
  const answers = counter("vllm:generation_tokens_total", "Tokens answered.", perModel);
  const success = counter("vllm:request_success_total", "Answers that ended.", [...perModel, "finished_reason"]);
  const firstToken = new Histogram({
    ...{ name: "vllm:time_to_first_token_seconds", help: "Of streams, at the gateway.", labelNames: perModel },
    ...{ buckets: firstTokenBuckets, registers },
  });
  const latency = new Histogram({
    ...{ name: "vllm:e2e_request_latency_seconds", help: "Request read to answer sent.", labelNames: perModel },
    ...{ buckets: latencyBuckets, registers },
  });
  const requests = counter("dualgauge_gateway_requests_total", "Requests by status; 499: the client went away.", [
    "status",
  ]);
  const notes = counter("dualgauge_gateway_events_total", "Breakers opened, failovers and continuations.", [
    "event",
    "backend",
  ]);
  const broken = counter("dualgauge_gateway_interrupted_total", "Streams that ended in an error event.");
  const shadows = counter("dualgauge_gateway_shadow_total", "Shadow requests by how they ended.", ["outcome"]);
  const canary = new Gauge({
    ...{
      name: "dualgauge_gateway_canary_agreement",
      help: "Share of a text that agrees.",
      labelNames: ["with"],
      registers,
    },
  });
  const samples = new Gauge({ name: "dualgauge_gateway_canary_samples", help: "Requests compared.", registers });
  gauges(fleet, registers);
  return {
    ended(summary, { model, seconds, status }) {
      requests.inc({ status: summary.error === "client went away" ? 499 : status });
      const backend = summary.answeredBy?.file.name;
      if (backend === undefined || status !== 200) return;
      const labels = { model_name: model, backend };
      prompts.inc(labels, summary.promptTokens);
      answers.inc(labels, summary.answerTokens);
      success.inc({ ...labels, finished_reason: summary.finish ?? "stop" });
      latency.observe(labels, seconds);
      if (summary.firstTokenSeconds !== undefined) firstToken.observe(labels, summary.firstTokenSeconds);
    },
    noted: (event, backend) => notes.inc({ event, backend }),
    interrupted: () => broken.inc(),
    compared(verdict) {
      canary.set({ with: "others" }, verdict.agreement);
      canary.set({ with: "themselves" }, verdict.selfAgreement);
      samples.set(verdict.samples);
    },
    shadowed: (outcome) => shadows.inc({ outcome }),
    contentType: registers[0]?.contentType ?? "text/plain",
    text: () => registers[0]?.metrics() ?? Promise.resolve(""),
  };
}

/** What is read off the fleet when it is asked for. */
function gauges(fleet: () => FleetLive, registers: Registry[]): void {
  const each = (name: string, help: string, value: (live: FleetLive["backends"][number]) => number): void => {
    new Gauge({
      ...{ name, help, labelNames: ["backend"], registers },
      collect() {
        this.reset();
        for (const live of fleet().backends) this.set({ backend: live.file.name }, value(live));
      },
    });
  };
  each("vllm:num_requests_running", "Requests in flight.", (live) => live.inFlight);
  each("dualgauge_gateway_breaker_open", "1: distrusted, 0: trusted.", (live) =>
    live.health.breaker === "closed" ? 0 : 1,
  );
  each("dualgauge_gateway_draining", "1: takes no new requests.", (live) => (live.file.drain ? 1 : 0));
  new Gauge({
    ...{
      name: "dualgauge_gateway_outcomes_total",
      help: "How attempts ended.",
      labelNames: ["backend", "outcome"],
      registers,
    },
    collect() {
      this.reset();
      for (const live of fleet().backends)
        for (const [outcome, count] of Object.entries(live.outcomes))
          this.set({ backend: live.file.name, outcome }, count);
    },
  });
  new Gauge({
    ...{ name: "dualgauge_gateway_canary_rolled_back", help: "1: the canary was rolled back.", registers },
    collect() {
      this.set(fleet().rolledBack === undefined ? 0 : 1);
    },
  });
}
