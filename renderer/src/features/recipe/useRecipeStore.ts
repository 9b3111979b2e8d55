/** Recipes, the draft and its plan. Every change plans again after a short pause; only the newest plan is shown. */
import { defineStore } from 'pinia'
import { computed, shallowRef } from 'vue'
import type { GrantId } from '../../../../shared/domain/app-info.ts'
import type { RouteInput } from '../../../../shared/contract/schemas.ts'
import type { PlanSummary } from '../../../../shared/domain/plan-summary.ts'
import type { PreflightProblem } from '../../../../shared/domain/preflight.ts'
import type { RecipeSummary } from '../../../../shared/domain/recipe-summary.ts'
import type { CalibrationSet } from '../../../../shared/domain/settings.ts'
import { AppError, type SerialisedError } from '../../../../shared/errors/app-error.ts'
import { request } from '../../bridge/api.ts'
import {
  createDraft,
  defaultOutputName,
  draftProblems,
  toRunOptions,
  NO_DEFAULTS,
  type RecipeDraft,
  type RunDefaults,
} from './recipe-draft.ts'

export type RecipesState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready'; readonly recipes: readonly RecipeSummary[] }
  | { readonly kind: 'failed'; readonly error: SerialisedError }

/** `previous` stays in view while a newer plan is made, so that nothing jumps. */
export type PlanState =
  | { readonly kind: 'none' }
  | { readonly kind: 'invalid' }
  | { readonly kind: 'planning'; readonly previous: PlanSummary | undefined }
  | { readonly kind: 'ready'; readonly plan: PlanSummary }
  | { readonly kind: 'failed'; readonly error: SerialisedError }

export interface RecipeSubject {
  readonly grantId: GrantId
  readonly checkpointName: string
  readonly totalBytes: number
  readonly isSample: boolean
}

const PAUSE_MS = 150

export const useRecipeStore = defineStore('recipe', () => {
  const recipes = shallowRef<RecipesState>({ kind: 'loading' })
  const subject = shallowRef<RecipeSubject>()
  const draft = shallowRef<RecipeDraft>(createDraft(0))
  const plan = shallowRef<PlanState>({ kind: 'none' })
  /** What stands in the way of the planned run; of the newest plan only. */
  const preflight = shallowRef<readonly PreflightProblem[]>([])
  const calibrationSets = shallowRef<readonly CalibrationSet[]>([])
  let defaults: RunDefaults = NO_DEFAULTS
  let timer: ReturnType<typeof setTimeout> | undefined
  let generation = 0

  const outputName = computed(
    () => draft.value.outputName ?? defaultOutputName(subject.value?.checkpointName ?? '', draft.value),
  )
  const isSample = computed(() => subject.value?.isSample === true)
  const problems = computed(() => draftProblems(draft.value, outputName.value))
  const hasProblems = computed(() => Object.keys(problems.value).length > 0)
  const recipeLabel = computed(() => draft.value.recipeGrant?.name ?? draft.value.recipe)
  const listed = computed(() =>
    recipes.value.kind === 'ready' && draft.value.recipeGrant === undefined
      ? recipes.value.recipes.find(({ name }) => name === draft.value.recipe)
      : undefined,
  )
  const canStart = computed(() => plan.value.kind === 'ready' && !hasProblems.value)

  async function load(): Promise<void> {
    recipes.value = { kind: 'loading' }
    try {
      recipes.value = { kind: 'ready', recipes: await request('recipe.list', {}) }
    } catch (error: unknown) {
      recipes.value = { kind: 'failed', error: AppError.from(error).serialise() }
    }
  }

  /** A newly opened checkpoint: sensible defaults and the first plan. */
  async function begin(newSubject: RecipeSubject): Promise<void> {
    subject.value = newSubject
    draft.value = createDraft(newSubject.totalBytes, defaults)
    plan.value = { kind: 'none' }
    preflight.value = []
    await replan()
  }

  /** For checkpoints that are opened from now on; what is being edited stays as it is. */
  function setDefaults(next: RunDefaults): void {
    defaults = next
  }

  function clear(): void {
    subject.value = undefined
    generation += 1
    clearTimeout(timer)
    plan.value = { kind: 'none' }
  }

  function update(change: Partial<RecipeDraft>): void {
    draft.value = { ...draft.value, ...change }
    generation += 1
    clearTimeout(timer)
    if (hasProblems.value) {
      plan.value = { kind: 'invalid' }
      return
    }
    plan.value = { kind: 'planning', previous: shownPlan(plan.value) }
    timer = setTimeout(() => void replan(), PAUSE_MS)
  }

  async function replan(): Promise<void> {
    if (subject.value === undefined || hasProblems.value) return
    generation += 1
    const mine = generation
    plan.value = { kind: 'planning', previous: shownPlan(plan.value) }
    try {
      const options = toRunOptions(draft.value)
      const made = await request('plan.make', { grantId: subject.value.grantId, options })
      if (mine !== generation) return
      plan.value = { kind: 'ready', plan: made }
      const problems = await findProblems()
      if (mine === generation) preflight.value = problems
    } catch (error: unknown) {
      if (mine === generation) plan.value = { kind: 'failed', error: AppError.from(error).serialise() }
    }
  }

  /** The request that starts what is planned; undefined without a checkpoint. */
  function startInput(): RouteInput<'job.start'> | undefined {
    if (subject.value === undefined) return undefined
    return {
      grantId: subject.value.grantId,
      options: toRunOptions(draft.value),
      calibrationGrantId: draft.value.calibrationGrant?.grantId,
      outputGrantId: draft.value.outputGrant?.grantId,
      outputName: outputName.value,
    }
  }

  async function findProblems(): Promise<readonly PreflightProblem[]> {
    const input = startInput()
    if (input === undefined) return []
    try {
      return (await request('job.preflight', input)).problems
    } catch (error: unknown) {
      const { code, subject: about, problem, remedy } = AppError.from(error)
      return [{ severity: 'error', code, subject: about, problem, remedy }]
    }
  }

  function scopeInput(): RouteInput<'plan.scope'> | undefined {
    if (subject.value === undefined || hasProblems.value) return undefined
    return { grantId: subject.value.grantId, options: toRunOptions(draft.value) }
  }

  return {
    recipes,
    draft,
    plan,
    outputName,
    isSample,
    problems,
    recipeLabel,
    listed,
    canStart,
    load,
    begin,
    setDefaults,
    clear,
    update,
    replan,
    preflight,
    calibrationSets,
    startInput,
    scopeInput,
  }
})

export function shownPlan(state: PlanState): PlanSummary | undefined {
  if (state.kind === 'ready') return state.plan
  return state.kind === 'planning' ? state.previous : undefined
}
