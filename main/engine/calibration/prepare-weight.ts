/** What the graphs expect in place of a stored weight: effective norm scales and decay rates. */

/** Zero-centred norms multiply by 1 + w; the norm inside linear attention is used as it is. */
const ZERO_CENTRED = /(^|\.)(input_layernorm|post_attention_layernorm|norm|q_norm|k_norm)\.weight$/

/** In place: norm scales become 1 + w, A_log becomes −exp(A_log). `name` is relative to the layer. */
export function prepareWeight(name: string, values: Float32Array): void {
  if (name === 'linear_attn.norm.weight') return
  if (name === 'linear_attn.A_log') values.forEach((value, index) => (values[index] = -Math.exp(value)))
  else if (ZERO_CENTRED.test(name)) values.forEach((value, index) => (values[index] = 1 + value))
}
