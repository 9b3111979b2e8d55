/** A part of a plan that may be an array or be made anew at each walk, because a large model has more of it than memory should hold. */

export interface PlanList<T> extends Iterable<T> {
  readonly length: number
  map<U>(make: (item: T, index: number) => U): U[]
  flatMap<U>(make: (item: T) => readonly U[]): U[]
  filter(accept: (item: T, index: number) => boolean): T[]
  find(accept: (item: T) => boolean): T | undefined
  reduce<U>(combine: (total: U, item: T) => U, initial: U): U
}

/** A list of known length whose items `walk` makes, the same at each call. */
export class ReplayedList<T> implements PlanList<T> {
  readonly length: number
  private readonly walk: () => Iterable<T>

  constructor(length: number, walk: () => Iterable<T>) {
    this.length = length
    this.walk = walk
  }

  [Symbol.iterator](): Iterator<T> {
    return this.walk()[Symbol.iterator]()
  }

  map<U>(make: (item: T, index: number) => U): U[] {
    const made: U[] = []
    for (const item of this.walk()) made.push(make(item, made.length))
    return made
  }

  flatMap<U>(make: (item: T) => readonly U[]): U[] {
    const made: U[] = []
    for (const item of this.walk()) made.push(...make(item))
    return made
  }

  filter(accept: (item: T, index: number) => boolean): T[] {
    const accepted: T[] = []
    let index = 0
    for (const item of this.walk()) if (accept(item, index++)) accepted.push(item)
    return accepted
  }

  find(accept: (item: T) => boolean): T | undefined {
    for (const item of this.walk()) if (accept(item)) return item
    return undefined
  }

  reduce<U>(combine: (total: U, item: T) => U, initial: U): U {
    let total = initial
    for (const item of this.walk()) total = combine(total, item)
    return total
  }

  /** As an array, for JSON. */
  toJSON(): T[] {
    return [...this.walk()]
  }
}
