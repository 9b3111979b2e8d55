/** Rotation angles of partial rotary embedding for text, where the three position streams of the model coincide. */
import { f32Tensor, type GraphTensor } from '../../onnx/graph-runtime.ts'

export interface RotaryFeeds {
  readonly position: GraphTensor
  readonly cosine: GraphTensor
  readonly sine: GraphTensor
}

/**
 * Feeds `position` f32 [T], `cosine` and `sine` f32 [T, rotaryDim/2] for positions 0..T-1; frequency j is theta^(−2j/rotaryDim), angles
 * are formed in f32 as the reference does. rotaryDim is even. Source: Qwen3_5MoeTextRotaryEmbedding, transformers 5.18.
 */
export function rotaryFeeds(length: number, rotaryDim: number, theta: number): RotaryFeeds {
  const half = rotaryDim / 2
  const cosine = new Float32Array(length * half)
  const sine = new Float32Array(length * half)
  for (let channel = 0; channel < half; channel += 1) {
    const frequency = Math.fround(1 / Math.fround(theta ** Math.fround((2 * channel) / rotaryDim)))
    for (let position = 0; position < length; position += 1) {
      const angle = Math.fround(position * frequency)
      cosine[position * half + channel] = Math.cos(angle)
      sine[position * half + channel] = Math.sin(angle)
    }
  }
  return {
    position: f32Tensor(
      [length],
      Float32Array.from({ length }, (_, index) => index),
    ),
    cosine: f32Tensor([length, half], cosine),
    sine: f32Tensor([length, half], sine),
  }
}
