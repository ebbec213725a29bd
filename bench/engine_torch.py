"""The same DeepSeek-V3 training step written plainly in PyTorch: the yardstick of bench/engine.mjs.

Usage: engine_torch.py FOLDER, where FOLDER holds config.json, parameters.json ({name: {shape, offset}}), parameters.bin
(float32, little-endian) and tokens.bin (int64 [batch, length + 1]). Answers each line on stdin ("step") with one line of
JSON on stdout: {"seconds", "cpuSeconds", "loss", "gradNorm"}; a step is forward and backward, without the optimizer.
"""
import json
import os
import sys
import time

import torch
import torch.nn.functional as F

folder = sys.argv[1]
torch.set_num_threads(1)
config = json.load(open(os.path.join(folder, "config.json")))
layout = json.load(open(os.path.join(folder, "parameters.json")))
raw = torch.frombuffer(bytearray(open(os.path.join(folder, "parameters.bin"), "rb").read()), dtype=torch.float32)
weights = {}
for name, entry in layout.items():
    size = 1
    for dimension in entry["shape"]:
        size *= dimension
    tensor = raw[entry["offset"] : entry["offset"] + size].reshape(entry["shape"]).clone()
    weights[name] = tensor if name.endswith("e_score_correction_bias") else tensor.requires_grad_()
batch, length = config["batch"], config["length"]
tokens = torch.frombuffer(bytearray(open(os.path.join(folder, "tokens.bin"), "rb").read()), dtype=torch.int64)
tokens = tokens.reshape(batch, length + 1)

heads = config["num_attention_heads"]
nope, rope, value = config["qk_nope_head_dim"], config["qk_rope_head_dim"], config["v_head_dim"]
rank = config["kv_lora_rank"]
frequencies = config["rope_theta"] ** (-torch.arange(0, rope, 2, dtype=torch.float32) / rope)
angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies)
rotation = torch.polar(torch.ones_like(angles), angles)
mask = torch.full((length, length), float("-inf")).triu_(1)


def linear(x, name):
    return F.linear(x, weights[name + ".weight"])


def norm(x, name):
    scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + config["rms_norm_eps"])
    return x * scale * weights[name + ".weight"]


def rotate(x):  # [batch, length, heads, rope], pairs (2i, 2i + 1) as in DeepSeek's own code
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * rotation.view(1, length, 1, -1)).flatten(3)


def attention(x, prefix):
    if config["q_lora_rank"] is None:
        q = linear(x, prefix + ".q_proj")
    else:
        q = linear(norm(linear(x, prefix + ".q_a_proj"), prefix + ".q_a_layernorm"), prefix + ".q_b_proj")
    q_nope, q_rope = q.view(batch, length, heads, nope + rope).split([nope, rope], -1)
    latent, k_rope = linear(x, prefix + ".kv_a_proj_with_mqa").split([rank, rope], -1)
    kv = linear(norm(latent, prefix + ".kv_a_layernorm"), prefix + ".kv_b_proj")
    k_nope, v = kv.view(batch, length, heads, nope + value).split([nope, value], -1)
    k_rope = rotate(k_rope.unsqueeze(2)).expand(-1, -1, heads, -1)
    q = torch.cat([q_nope, rotate(q_rope)], -1).transpose(1, 2)
    k = torch.cat([k_nope, k_rope], -1).transpose(1, 2)
    scores = torch.matmul(q, k.transpose(2, 3)) * (nope + rope) ** -0.5 + mask
    out = torch.matmul(scores.softmax(-1), v.transpose(1, 2))
    return linear(out.transpose(1, 2).flatten(2), prefix + ".o_proj")


def feed_forward(x, prefix):
    return linear(F.silu(linear(x, prefix + ".gate_proj")) * linear(x, prefix + ".up_proj"), prefix + ".down_proj")


def experts(x, prefix):
    """DeepSeek's own inference code: a loop over the experts that received a token."""
    shape = x.shape
    x = x.reshape(-1, shape[-1])
    count, groups = config["n_routed_experts"], config["n_group"]
    scores = linear(x, prefix + ".gate").sigmoid()
    corrected = scores.detach() + weights[prefix + ".gate.e_score_correction_bias"]
    if groups > 1:
        grouped = corrected.view(x.shape[0], groups, -1)
        kept = grouped.topk(2, -1)[0].sum(-1).topk(config["topk_group"], -1)[1]
        outside = torch.ones(x.shape[0], groups, dtype=torch.bool).scatter_(1, kept, False)
        corrected = grouped.masked_fill(outside.unsqueeze(-1), float("-inf")).flatten(1)
    indices = corrected.topk(config["num_experts_per_tok"], -1)[1]
    gates = scores.gather(1, indices)
    gates = gates / gates.sum(-1, keepdim=True) * config["routed_scaling_factor"]
    y = torch.zeros_like(x)
    for expert in range(count):
        rows, choice = torch.where(indices == expert)
        if rows.numel() == 0:
            continue
        out = feed_forward(x[rows], f"{prefix}.experts.{expert}") * gates[rows, choice, None]
        y = y.index_add(0, rows, out)
    if config["n_shared_experts"] > 0:
        y = y + feed_forward(x, prefix + ".shared_experts")
    return y.view(shape)


def loss():
    x = F.embedding(tokens[:, :-1], weights["model.embed_tokens.weight"])
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        x = x + attention(norm(x, prefix + ".input_layernorm"), prefix + ".self_attn")
        y = norm(x, prefix + ".post_attention_layernorm")
        dense = not config.get("n_routed_experts") or layer < config["first_k_dense_replace"]
        x = x + (feed_forward if dense else experts)(y, prefix + ".mlp")
    logits = linear(norm(x, "model.norm"), "lm_head")
    return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


torch.mm(torch.ones(2, 2), torch.ones(2, 2))  # loads the matrix library, so that it shows below
libraries = sorted({line.split("/")[-1].strip() for line in open("/proc/self/maps") if "blas" in line.lower() or "mkl_" in line})
print(json.dumps({"version": torch.__version__, "blas": libraries}), flush=True)
for line in sys.stdin:
    for tensor in weights.values():
        tensor.grad = None
    start, cpu = time.perf_counter(), time.process_time()
    result = loss()
    result.backward()
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    norms = sum(float(t.grad.square().sum()) for t in weights.values() if t.grad is not None) ** 0.5
    print(json.dumps({"seconds": seconds, "cpuSeconds": cpu_seconds, "loss": float(result), "gradNorm": norms}), flush=True)
