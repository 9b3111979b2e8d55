/**
 * Regular expressions that match a set of modules and no other of the model, short and independent of the engine's name prefix.
 * Source: target matching of compressed-tensors and vLLM (Python `re.match` on the full module name; experts one by one).
 */
import type { MoeModel } from '../models/moe-model.ts'

const LAYER = /^(?:.*\.)?layers\.(\d+)\.(.+)$/

/**
 * `re:` patterns for `modules`, in the order of the model. Modules below a layer become one pattern per kind (`.*\.self_attn\.q_proj$`), with
 * the numbers of the layers where other layers have the same kind in another group or unquantized.
 */
export function moduleTargets(model: MoeModel, modules: ReadonlySet<string>): readonly string[] {
  const inside = new Map<string, string[]>()
  const outside = new Set<string>()
  const patterns: string[] = []
  for (const { name } of model.modules) {
    const [, layer = '', kind = ''] = LAYER.exec(name) ?? []
    const isIn = modules.has(name)
    if (kind === '') {
      if (isIn) patterns.push(`re:.*${escaped(lastPart(name))}$`)
    } else if (!isIn) outside.add(kind)
    else {
      const layers = inside.get(kind)
      if (layers === undefined) inside.set(kind, [layer])
      else layers.push(layer)
    }
  }
  const layered = [...inside].map(([kind, layers]) => {
    const place = outside.has(kind) ? `layers\\.(${layers.join('|')})\\.` : ''
    return `re:.*\\.${place}${kindPattern(kind)}$`
  })
  return [...layered, ...patterns]
}

/** A recipe addresses the experts of a layer as one module; readers see every projection of every expert. */
function kindPattern(kind: string): string {
  const pattern = escaped(kind)
  return kind.endsWith('.experts') ? `${pattern}\\.\\d+\\.(gate|up|down)_proj` : pattern
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
