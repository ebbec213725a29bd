/** Runs one ONNX file once, for tests of graphs that are written to disk. Knows: ONNX Runtime. Does not know: which graph. */
import { InferenceSession, type Tensor } from "onnxruntime-node";

export async function runGraph(
  file: string,
  feeds: Record<string, Tensor>,
): Promise<InferenceSession.OnnxValueMapType> {
  const session = await InferenceSession.create(file, { logSeverityLevel: 3 });
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}
