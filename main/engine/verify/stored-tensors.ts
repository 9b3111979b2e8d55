/** The tensors of an export by module, and which of them a rule has accounted for. */
import type { TensorSlice } from '../checkpoint/checkpoint.ts'

export class StoredTensors {
  readonly all: ReadonlyMap<string, TensorSlice>
  /** Names that the index lists and no shard has: reported once, by the index rules. */
  readonly unresolved: ReadonlySet<string>
  private readonly modules = new Map<string, Map<string, TensorSlice>>()
  private readonly accounted = new Set<string>()

  constructor(all: ReadonlyMap<string, TensorSlice>, unresolved: ReadonlySet<string>) {
    this.all = all
    this.unresolved = unresolved
    for (const tensor of all.values()) {
      const dot = tensor.name.lastIndexOf('.')
      const module = tensor.name.slice(0, Math.max(0, dot))
      const parts = this.modules.get(module)
      if (parts === undefined) this.modules.set(module, new Map([[tensor.name.slice(dot + 1), tensor]]))
      else parts.set(tensor.name.slice(dot + 1), tensor)
    }
  }

  /** Tensors of a module by suffix. */
  partsOf(module: string): ReadonlyMap<string, TensorSlice> {
    return this.modules.get(module) ?? NO_PARTS
  }

  /** The tensor, accounted for; undefined when it is missing. */
  take(name: string): TensorSlice | undefined {
    const tensor = this.all.get(name)
    if (tensor !== undefined) this.accounted.add(name)
    return tensor
  }

  isMissing(name: string): boolean {
    return !this.all.has(name) && !this.unresolved.has(name)
  }

  unaccounted(): readonly TensorSlice[] {
    return [...this.all.values()].filter(({ name }) => !this.accounted.has(name))
  }
}

const NO_PARTS: ReadonlyMap<string, TensorSlice> = new Map()
