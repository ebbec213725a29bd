/**
 * The building blocks that have a gradient of their own: linear map, RMS norm, SwiGLU, cross entropy.
 * Knows: their formulas forward and backward. Does not know: where in a model they stand.
 */
import type { Tensor } from "../graph.ts";
import * as f from "../operators/functions.ts";

/** x [rows, in] · weightᵀ, with weight [out, in] as Hugging Face stores it. */
export function linear(x: Tensor, weight: Tensor): Tensor {
  return f.gemm(x, weight, { transB: true });
}

/**
 * weight · x / √(mean(x²) + epsilon) over the last axis of x [rows, width] (Zhang & Sennrich 2019, https://arxiv.org/abs/1910.07467).
 * With n the normalised rows and dn = dy·weight: dx = (dn − n·mean(dn·n)) / rms. mean(dn·n) is a product of a matrix with
 * the weights, and dweight a sum of the same dy·n, so backward makes five passes over the rows instead of eleven.
 */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
  const { graph } = x;
  const width = Number(weight.shape[0]);
  return graph.composite([x, weight], () => {
    // A division, because the runtime's reciprocal is not rounded alike in its vectors and in what they leave over: a row would
    // depend on its place in the batch.
    const inverse = f.div(1, f.sqrt(f.add(f.reduceMean(f.mul(x, x), [1]), epsilon)));
    const normal = f.mul(x, inverse);
    return {
      outputs: [f.mul(normal, weight)],
      backward: ([dy]) => {
        if (!dy) return [undefined, undefined];
        const product = f.mul(dy, normal);
        const mean = f.gemm(product, f.reshape(f.mul(weight, 1 / width), [width, 1]));
        const dx = f.mul(f.sub(f.mul(dy, weight), f.mul(normal, mean)), inverse);
        return [dx, f.reduceSum(product, [0], false)];
      },
    };
  })[0]!;
}

/** silu(gate) · up, element by element (Shazeer 2020, https://arxiv.org/abs/2002.05202). */
export function swiGlu(gate: Tensor, up: Tensor): Tensor {
  return gate.graph.composite([gate, up], () => {
    const s = f.sigmoid(gate);
    const activated = f.mul(gate, s);
    return {
      outputs: [f.mul(activated, up)],
      backward: ([dy]) => {
        if (!dy) return [undefined, undefined];
        // d silu(g)/dg = s + silu·(1 − s).
        const slope = f.add(s, f.mul(activated, f.sub(1, s)));
        return [f.mul(f.mul(dy, up), slope), f.mul(dy, activated)];
      },
    };
  })[0]!;
}

/**
 * Mean over rows of −log softmax(logits)[target], in nats, and the log probability of each target.
 * logits [rows, vocabulary] with a fixed number of rows, targets int64 [rows].
 */
export function crossEntropy(logits: Tensor, targets: Tensor): Tensor {
  const rows = Number(logits.shape[0]);
  return logits.graph.composite([logits], () => {
    const target = f.reshape(targets, [rows, 1]);
    const logProbability = f.logSoftmax(logits);
    const picked = f.gatherElements(logProbability, target, 1);
    return {
      outputs: [f.neg(f.reduceMean(picked, [0, 1], false))],
      backward: ([dloss]) => {
        if (!dloss) return [undefined];
        const scale = f.mul(dloss, 1 / rows);
        const probability = f.mul(f.exp(logProbability), scale);
        return [f.scatterElements(probability, target, f.mul(f.sub(f.exp(picked), 1), scale), 1)];
      },
    };
  })[0]!;
}
