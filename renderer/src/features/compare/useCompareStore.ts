/** Two checkpoints to compare, and what came of it. */
import { defineStore } from 'pinia'
import { computed, shallowRef } from 'vue'
import type { PathGrant } from '../../../../shared/domain/app-info.ts'
import type { CompareSideName } from '../../../../shared/domain/compare-report.ts'
import { useCheck } from '../../composables/use-check.ts'

export const useCompareStore = defineStore('compare', () => {
  const left = shallowRef<PathGrant>()
  const right = shallowRef<PathGrant>()
  const check = useCheck()
  const canStart = computed(() => left.value !== undefined && right.value !== undefined)
  const report = computed(() => {
    const { value } = check.state
    return value.kind === 'done' && value.result.kind === 'compare' ? value.result.report : undefined
  })

  function choose(side: CompareSideName, grant: PathGrant | undefined): void {
    check.reset()
    if (side === 'left') left.value = grant
    else right.value = grant
  }

  async function start(): Promise<void> {
    if (left.value === undefined || right.value === undefined) return
    await check.start({ kind: 'compare', leftGrantId: left.value.grantId, rightGrantId: right.value.grantId })
  }

  return { left, right, canStart, report, checkState: check.state, choose, start, cancel: check.cancel }
})
