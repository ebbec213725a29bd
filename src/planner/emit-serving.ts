/**
 * Prints the command lines that start a serving plan with vLLM or vLLM-Ascend.
 * Knows: flags of vLLM (0.11's source and the documentation for 0.23) and vLLM-Ascend 0.23. Does not know: hosts, ports in use, paths.
 */

import type { ServingEstimate, ServingPool, ServingQuestion } from "./serve.ts";
import { redundantExperts } from "./serve-layouts.ts";

export type ServingDialect = "vllm" | "vllm-ascend";

/** Lines of a shell script; comments say what a person has to fill in. `weights` is a model name or path. */
export function emitServing(
  dialect: ServingDialect,
  q: ServingQuestion,
  best: ServingEstimate,
  weights: string,
): string[] {
  const lines = [
    `# ${dialect} 0.23: ${describe(best)}`,
    "# Set MODEL to the checkpoint, HOST to this group's first node; start one command per group (and per node where noted).",
    `MODEL=\${MODEL:-${quoted(weights)}}`,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell fills it in
    "HOST=${HOST:-127.0.0.1}",
  ];
  if (dialect === "vllm-ascend") lines.push("export VLLM_USE_V1=1 HCCL_OP_EXPANSION_MODE=AIV TASK_QUEUE_ENABLE=1");
  if (best.prefill) {
    lines.push(`# ${best.prefill.groups} prompt group(s):`, ...poolCommand(dialect, q, best, best.prefill, "prefill"));
    lines.push(`# ${best.decode.groups} decode group(s):`, ...poolCommand(dialect, q, best, best.decode, "decode"));
    lines.push(
      dialect === "vllm-ascend"
        ? "# in front: examples/disaggregated_prefill_v1/load_balance_proxy_server_example.py of vllm-ascend"
        : "# in front: a proxy that sends each prompt to a prompt group first (examples/online_serving/disaggregated_serving of vllm)",
    );
    return lines;
  }
  return [...lines, `# ${best.decode.groups} group(s):`, ...poolCommand(dialect, q, best, best.decode, "both")];
}

function describe(best: ServingEstimate): string {
  const shape = (pool: ServingPool): string =>
    `${pool.groups} × (tp ${pool.split.attentionTp}, dp ${pool.split.devices / pool.split.attentionTp}${pool.split.expertParallel ? ", ep" : ""})`;
  return best.prefill ? `prompts ${shape(best.prefill)}, decoding ${shape(best.decode)}` : shape(best.decode);
}

const quoted = (text: string): string => (/^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

type Role = "prefill" | "decode" | "both";

function poolCommand(
  dialect: ServingDialect,
  q: ServingQuestion,
  best: ServingEstimate,
  pool: ServingPool,
  role: Role,
): string[] {
  const { attentionTp, devices, expertParallel } = pool.split;
  const data = devices / attentionTp;
  const node = q.accelerator.nodeDevices;
  const flags: string[] = [`--tensor-parallel-size ${attentionTp}`];
  if (data > 1) {
    flags.push(`--data-parallel-size ${data}`);
    if (devices > node) {
      flags.push(
        `--data-parallel-size-local ${Math.max(1, Math.floor(node / attentionTp))}`,
        "--data-parallel-address $HOST",
        "--data-parallel-rpc-port 13389",
      );
    }
  }
  if (expertParallel) flags.push("--enable-expert-parallel");
  const spare = expertParallel && q.architecture.moe ? redundantExperts(q.architecture.moe.experts, devices) : 0;
  if (spare > 0 && dialect === "vllm")
    flags.push("--enable-eplb", `--eplb-config '${JSON.stringify({ num_redundant_experts: spare })}'`);
  const context = Math.ceil((q.promptTokens + q.outputTokens) / 256) * 256;
  const perRank = Math.max(1, Math.ceil(pool.sequences / data));
  flags.push(
    `--max-model-len ${context}`,
    `--max-num-seqs ${perRank}`,
    `--max-num-batched-tokens ${stepTokens(q, role, perRank, context)}`,
    `--gpu-memory-utilization ${q.engine.memoryShare}`,
  );
  if (dialect === "vllm-ascend" && /^w\d/.test(q.format.name)) flags.push("--quantization ascend");
  // On Ascend an 8-bit cache comes with the checkpoint's quantization description, not with a flag.
  if (q.cacheBytesPerValue === 1 && dialect === "vllm") flags.push("--kv-cache-dtype fp8");
  flags.push(q.prefixHit > 0 ? "--enable-prefix-caching" : "--no-enable-prefix-caching");
  if (q.drafted > 0) {
    const method = q.architecture.mla ? "deepseek_mtp" : "mtp";
    flags.push(`--speculative-config '${JSON.stringify({ method, num_speculative_tokens: q.drafted })}'`);
  }
  if (dialect === "vllm-ascend" && role === "decode")
    flags.push(`--compilation-config '{"cudagraph_mode": "FULL_DECODE_ONLY"}'`);
  if (best.prefill)
    flags.push(`--kv-transfer-config '${JSON.stringify(transfer(dialect, best.prefill, best.decode, role))}'`);
  const command = ["vllm serve $MODEL", ...flags].join(" \\\n  ");
  const nodes = Math.ceil(devices / node);
  return nodes > 1
    ? [`# on the first of ${nodes} nodes; on node k add --headless --data-parallel-start-rank k×(local size)`, command]
    : [command];
}

/** Tokens per step: a decode pool needs one per sequence and draft, a prompt pool the engine's budget. */
function stepTokens(q: ServingQuestion, role: Role, perRank: number, context: number): number {
  const decoding = perRank * (1 + q.drafted);
  if (role === "decode") return Math.max(256, Math.ceil(decoding / 128) * 128);
  return Math.max(
    q.engine.stepTokensMax,
    role === "both" ? Math.ceil((decoding + 512) / 256) * 256 : Math.min(context, 32768),
  );
}

function transfer(
  dialect: ServingDialect,
  prefill: ServingPool,
  decode: ServingPool,
  role: Role,
): Record<string, unknown> {
  const kvRole = role === "prefill" ? "kv_producer" : "kv_consumer";
  if (dialect === "vllm") return { kv_connector: "NixlConnector", kv_role: kvRole };
  const sizes = ({ split }: ServingPool): Record<string, number> => ({
    dp_size: split.devices / split.attentionTp,
    tp_size: split.attentionTp,
  });
  return {
    kv_connector: "MooncakeConnectorV1",
    kv_role: kvRole,
    kv_port: role === "prefill" ? "36000" : "36200",
    engine_id: role === "prefill" ? "0" : "1",
    kv_connector_extra_config: { prefill: sizes(prefill), decode: sizes(decode) },
  };
}
