/** A list that keeps its first entries and counts the rest. */
import type { CountedList } from '../../../../shared/domain/compare-report.ts'

export class CappedList<T> {
  private readonly items: T[] = []
  private readonly limit: number
  private count = 0

  constructor(limit: number) {
    this.limit = limit
  }

  add(item: T): void {
    this.count += 1
    if (this.items.length < this.limit) this.items.push(item)
  }

  counted(): CountedList<T> {
    return { count: this.count, items: this.items }
  }
}
