/**
 * The forward pass of qwen3_5_moe in f64, token by token, written from the model's description and not from the graphs: what the graphs are
 * compared with on other shapes than the recorded reference has. Slow and plain on purpose.
 */
import type { QwenTextConfig } from '../../main/engine/models/qwen3_5-moe/text-config.ts'

type Vector = readonly number[]
type Matrix = readonly Vector[]

export interface ReferenceLayer {
  /** [time][H] after the layer. */
  readonly hidden: Matrix
  /** Experts of every token, ascending probability order not implied. */
  readonly chosen: readonly (readonly number[])[]
  /** Largest magnitude by site name relative to the layer; experts as `gate_up.<e>` and `down.<e>`. */
  readonly amax: ReadonlyMap<string, number>
  /** Every row that reached a site, by the same names. */
  readonly rows: ReadonlyMap<string, Matrix>
  /** Routing weights of every token, in the order of `chosen`. */
  readonly weights: Matrix
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))
const silu = (x: number): number => x * sigmoid(x)
const dot = (a: Vector, b: Vector): number =>
  a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0)

export class ReferenceForward {
  private readonly text: QwenTextConfig
  private readonly values: ReadonlyMap<string, Float64Array>
  private readonly prefix: string

  constructor(text: QwenTextConfig, values: ReadonlyMap<string, Float64Array>, prefix: string) {
    this.text = text
    this.values = values
    this.prefix = prefix
  }

  embed(ids: readonly number[]): Matrix {
    const table = this.matrix(`${this.prefix}.embed_tokens.weight`, this.text.hiddenSize)
    return ids.map((id) => table[id] ?? [])
  }

  /** One sequence through one layer. */
  layer(index: number, sequence: Matrix): ReferenceLayer {
    const amax = new Map<string, number>()
    const seen = new Map<string, Matrix>()
    const weights: Vector[] = []
    const see = (site: string, rows: Matrix): void => {
      const largest = Math.max(...rows.flat().map(Math.abs))
      amax.set(site, Math.max(amax.get(site) ?? 0, largest))
      seen.set(site, [...(seen.get(site) ?? []), ...rows])
    }
    const name = `${this.prefix}.layers.${String(index)}.`
    const normed = sequence.map((x) => this.norm(x, `${name}input_layernorm.weight`))
    const mixed =
      this.text.layerKinds[index] === 'linear_attention'
        ? this.linearAttention(`${name}linear_attn.`, normed, see)
        : this.fullAttention(`${name}self_attn.`, normed, see)
    const middle = sequence.map((x, t) => x.map((value, i) => value + (mixed[t]?.[i] ?? 0)))
    const chosen: number[][] = []
    const hidden = middle.map((x) => {
      const { y, experts, shares } = this.moe(
        `${name}mlp.`,
        this.norm(x, `${name}post_attention_layernorm.weight`),
        see,
      )
      chosen.push(experts)
      weights.push(shares)
      return x.map((value, i) => value + (y[i] ?? 0))
    })
    return { hidden, chosen, amax, rows: seen, weights }
  }

  /** Negative log-likelihoods of ids[1..] given final hidden states. */
  losses(hidden: Matrix, ids: readonly number[]): readonly number[] {
    const head = this.matrix('lm_head.weight', this.text.hiddenSize)
    return ids.slice(1).map((id, t) => {
      const x = this.norm(hidden[t] ?? [], `${this.prefix}.norm.weight`)
      const logits = head.map((row) => dot(row, x))
      const largest = Math.max(...logits)
      const total = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0)
      return largest + Math.log(total) - (logits[id] ?? 0)
    })
  }

  private fullAttention(name: string, x: Matrix, see: (site: string, rows: Matrix) => void): Matrix {
    const { headCount, kvHeadCount, headDim, hiddenSize } = this.text
    for (const site of ['q_proj', 'k_proj', 'v_proj']) see(`self_attn.${site}`, x)
    const project = (part: string): Matrix => this.apply(`${name}${part}.weight`, x, hiddenSize)
    const [both, keys, values] = [project('q_proj'), project('k_proj'), project('v_proj')]
    const head = (row: Vector, start: number): Vector => row.slice(start, start + headDim)
    const key = keys.map((row, t) =>
      Array.from({ length: kvHeadCount }, (_, h) =>
        this.rotate(this.norm(head(row, h * headDim), `${name}k_norm.weight`), t),
      ),
    )
    see('self_attn.k', key.flat())
    see('self_attn.v', values)
    const attended = x.map((_, t) =>
      Array.from({ length: headCount }, (_unused, h) => {
        const start = h * 2 * headDim
        const query = this.rotate(this.norm(head(both[t] ?? [], start), `${name}q_norm.weight`), t)
        const gate = head(both[t] ?? [], start + headDim)
        const kv = Math.floor(h / (headCount / kvHeadCount))
        const scores = key.slice(0, t + 1).map((k) => dot(query, k[kv] ?? []) / Math.sqrt(headDim))
        const largest = Math.max(...scores)
        const weights = scores.map((score) => Math.exp(score - largest))
        const total = weights.reduce((sum, weight) => sum + weight, 0)
        return gate.map((opening, d) => {
          const mixed = weights.reduce((sum, w, s) => sum + w * (values[s]?.[kv * headDim + d] ?? 0), 0)
          return (mixed / total) * sigmoid(opening)
        })
      }).flat(),
    )
    see('self_attn.o_proj', attended)
    return this.apply(`${name}o_proj.weight`, attended, headCount * headDim)
  }

  private rotate(x: Vector, position: number): Vector {
    const half = this.text.rotaryDim / 2
    return x.map((value, j) => {
      if (j >= 2 * half) return value
      const angle = position * this.text.ropeTheta ** (-(2 * (j % half)) / (2 * half))
      const other = j < half ? -(x[j + half] ?? 0) : (x[j - half] ?? 0)
      return value * Math.cos(angle) + other * Math.sin(angle)
    })
  }

  private linearAttention(name: string, x: Matrix, see: (site: string, rows: Matrix) => void): Matrix {
    const { hiddenSize, linearKeyHeadCount: nk, linearValueHeadCount: nv } = this.text
    const { linearKeyHeadDim: dk, linearValueHeadDim: dv } = this.text
    for (const site of ['in_proj_qkv', 'in_proj_z', 'in_proj_b', 'in_proj_a']) see(`linear_attn.${site}`, x)
    const project = (part: string): Matrix => this.apply(`${name}${part}.weight`, x, hiddenSize)
    const mixed = this.convolve(`${name}conv1d.weight`, project('in_proj_qkv'))
    const [z, b, a] = [project('in_proj_z'), project('in_proj_b'), project('in_proj_a')]
    const rates = this.vector(`${name}A_log`)
    const biases = this.vector(`${name}dt_bias`)
    const scale = this.vector(`${name}norm.weight`)
    const out: number[][] = x.map(() => [])
    for (let h = 0; h < nv; h += 1) {
      const state = Array.from({ length: dk }, () => new Array<number>(dv).fill(0))
      const source = Math.floor(h / (nv / nk))
      mixed.forEach((row, t) => {
        const q = unit(row.slice(source * dk, (source + 1) * dk)).map((value) => value / Math.sqrt(dk))
        const k = unit(row.slice(nk * dk + source * dk, nk * dk + (source + 1) * dk))
        const v = row.slice(2 * nk * dk + h * dv, 2 * nk * dk + (h + 1) * dv)
        const beta = sigmoid(b[t]?.[h] ?? 0)
        const step = Math.log1p(Math.exp((a[t]?.[h] ?? 0) + (biases[h] ?? 0)))
        const decay = Math.exp(-Math.exp(rates[h] ?? 0) * step)
        for (const line of state) for (let j = 0; j < dv; j += 1) line[j] = (line[j] ?? 0) * decay
        const recalled = v.map((_, j) => k.reduce((sum, value, i) => sum + value * (state[i]?.[j] ?? 0), 0))
        const delta = v.map((value, j) => beta * (value - (recalled[j] ?? 0)))
        state.forEach((line, i) => {
          for (let j = 0; j < dv; j += 1) line[j] = (line[j] ?? 0) + (k[i] ?? 0) * (delta[j] ?? 0)
        })
        const o = v.map((_, j) => q.reduce((sum, value, i) => sum + value * (state[i]?.[j] ?? 0), 0))
        const root = Math.sqrt(dot(o, o) / dv + this.text.rmsNormEps)
        o.forEach((value, j) =>
          out[t]?.push((value / root) * (scale[j] ?? 0) * silu(z[t]?.[h * dv + j] ?? 0)),
        )
      })
    }
    see('linear_attn.out_proj', out)
    return this.apply(`${name}out_proj.weight`, out, nv * dv)
  }

  private convolve(name: string, rows: Matrix): Matrix {
    const kernel = this.matrix(name, this.text.convKernelSize)
    return rows.map((row, t) =>
      row.map((_, c) =>
        silu(
          (kernel[c] ?? []).reduce(
            (sum, w, j) => sum + w * (rows[t - this.text.convKernelSize + 1 + j]?.[c] ?? 0),
            0,
          ),
        ),
      ),
    )
  }

  private moe(
    name: string,
    x: Vector,
    see: (site: string, rows: Matrix) => void,
  ): { readonly y: Vector; readonly experts: number[]; readonly shares: Vector } {
    const { hiddenSize: h, expertWidth: f, sharedExpertWidth: s, topK } = this.text
    const scores = this.matrix(`${name}gate.weight`, h).map((row) => dot(row, x))
    const order = scores.map((_, e) => e).sort((i, j) => (scores[j] ?? 0) - (scores[i] ?? 0) || i - j)
    const experts = order.slice(0, topK)
    const exps = experts.map((e) => Math.exp((scores[e] ?? 0) - (scores[experts[0] ?? 0] ?? 0)))
    const total = exps.reduce((sum, value) => sum + value, 0)
    const feed = (module: string, width: number, site: string): Vector => {
      const part = (projection: string, cols: number): Matrix =>
        this.matrix(`${module}.${projection}_proj.weight`, cols)
      const up = part('up', h).map((row) => dot(row, x))
      const inner = part('gate', h).map((row, i) => silu(dot(row, x)) * (up[i] ?? 0))
      see(site, [inner])
      return part('down', width).map((row) => dot(row, inner))
    }
    const y = new Array<number>(h).fill(0)
    experts.forEach((e, rank) => {
      see(`gate_up.${String(e)}`, [x])
      const routed = feed(`${name}experts.${String(e)}`, f, `down.${String(e)}`)
      routed.forEach((value, i) => (y[i] = (y[i] ?? 0) + ((exps[rank] ?? 0) / total) * value))
    })
    see('mlp.shared_expert.gate_proj', [x])
    const opening = sigmoid(dot(this.vector(`${name}shared_expert_gate.weight`), x))
    feed(`${name}shared_expert`, s, 'mlp.shared_expert.down_proj').forEach(
      (value, i) => (y[i] = (y[i] ?? 0) + opening * value),
    )
    return { y, experts, shares: exps.map((value) => value / total) }
  }

  /** Zero-centred RMS norm over the whole vector. */
  private norm(x: Vector, name: string): Vector {
    const weight = this.vector(name)
    const root = Math.sqrt(dot(x, x) / x.length + this.text.rmsNormEps)
    return x.map((value, i) => (value / root) * (1 + (weight[i] ?? 0)))
  }

  private apply(name: string, rows: Matrix, cols: number): Matrix {
    const matrix = this.matrix(name, cols)
    return rows.map((x) => matrix.map((row) => dot(row, x)))
  }

  private vector(name: string): Vector {
    const values = this.values.get(name)
    if (values === undefined) throw new Error(`no tensor ${name}`)
    return [...values]
  }

  private matrix(name: string, cols: number): Matrix {
    const values = this.vector(name)
    return Array.from({ length: values.length / cols }, (_, row) =>
      values.slice(row * cols, (row + 1) * cols),
    )
  }
}

function unit(x: Vector): Vector {
  const root = Math.sqrt(dot(x, x) + 1e-6)
  return x.map((value) => value / root)
}
