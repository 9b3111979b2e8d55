/**
 * The tensors, tasks and activation scales of a placed plan, made anew item by item whenever somebody walks them. What stays in memory is
 * where each tensor lies, 10 bytes; objects and names exist for one item of the export order at a time.
 */
import type { ExportItem } from '../models/moe-model.ts'
import type { ExportTask, PlannedActivationScale, PlannedTensor } from './export-plan.ts'
import { PlanDraft, type DraftTensor } from './plan-draft.ts'
import type { ItemPlanner } from './plan-items.ts'
import { ReplayedList } from './plan-list.ts'

/** Places of all tensors, in state-dict order. */
interface Places {
  readonly offsets: Float64Array
  readonly shards: Uint16Array
}

/** What had been counted when an item began. */
interface Mark {
  readonly tensors: number
  readonly tasks: number
}

export interface ReplayOptions {
  readonly items: readonly ExportItem[]
  readonly makePlanner: (draft: PlanDraft) => ItemPlanner
  /** The draft after all items, placed. Not kept. */
  readonly placed: PlanDraft
  /** One per item: counts before it. */
  readonly marks: readonly Mark[]
}

class PlacedDraft extends PlanDraft {
  private readonly places: Places

  constructor(places: Places, firstIndex: number) {
    super(firstIndex)
    this.places = places
  }

  override add(...part: Parameters<PlanDraft['add']>): DraftTensor {
    const tensor = super.add(...part)
    tensor.shardIndex = this.places.shards[tensor.index] ?? 0
    tensor.offsetBytes = this.places.offsets[tensor.index] ?? 0
    return tensor
  }

  clear(): void {
    this.tensors.length = 0
    this.tasks.length = 0
    this.activationScales.length = 0
  }
}

export class ReplayPlan {
  readonly tensors: ReplayedList<PlannedTensor>
  readonly tasks: ReplayedList<ExportTask>
  readonly activationScales: ReplayedList<PlannedActivationScale>
  private readonly items: readonly ExportItem[]
  private readonly makePlanner: (draft: PlanDraft) => ItemPlanner
  private readonly marks: readonly Mark[]
  private readonly places: Places

  constructor({ items, makePlanner, placed, marks }: ReplayOptions) {
    this.items = items
    this.makePlanner = makePlanner
    this.marks = marks
    this.places = {
      offsets: Float64Array.from(placed.tensors, ({ offsetBytes }) => offsetBytes),
      shards: Uint16Array.from(placed.tensors, ({ shardIndex }) => shardIndex),
    }
    const all = (): Generator<PlacedDraft> => this.replay(0, items.length)
    this.tensors = new ReplayedList(placed.tensors.length, function* () {
      for (const draft of all()) yield* draft.tensors
    })
    this.activationScales = new ReplayedList(placed.activationScales.length, function* () {
      for (const draft of all()) yield* draft.activationScales
    })
    this.tasks = new ReplayedList(placed.tasks.length, () => this.tasksOf(0, items.length))
  }

  /** Tasks of one decoder layer, whose items follow one another in the export order. */
  readonly tasksOfLayer = (layerIndex: number): Iterable<ExportTask> => {
    const begin = this.items.findIndex((item) => item.layerIndex === layerIndex)
    const end = this.items.findLastIndex((item) => item.layerIndex === layerIndex)
    return begin === -1 ? [] : this.tasksOf(begin, end + 1)
  }

  private *tasksOf(begin: number, end: number): Generator<ExportTask> {
    let taskIndex = this.marks[begin]?.tasks ?? 0
    for (const draft of this.replay(begin, end)) {
      for (const task of draft.tasks) yield { ...task, taskIndex: taskIndex++ }
    }
  }

  /** The draft after each item, holding only what that item added. `begin` must not lie inside a fusion group. */
  private *replay(begin: number, end: number): Generator<PlacedDraft> {
    const draft = new PlacedDraft(this.places, this.marks[begin]?.tensors ?? 0)
    const planner = this.makePlanner(draft)
    for (const item of this.items.slice(begin, end)) {
      planner.add(item)
      yield draft
      draft.clear()
    }
  }
}
