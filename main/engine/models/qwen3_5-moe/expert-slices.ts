/** Finds the three matrices of every routed expert of a layer, whether stored fused in 3-D tensors or one by one. */
import { AppError } from '../../../../shared/errors/app-error.ts'
import type { TensorSlice } from '../../checkpoint/checkpoint.ts'
import type { ExpertLayout, ExpertSlices } from '../moe-model.ts'
import type { QwenTextConfig } from './text-config.ts'
import type { TensorClaims } from './tensor-claims.ts'

export interface LayerExperts {
  readonly layout: ExpertLayout
  readonly experts: readonly ExpertSlices[]
}

/** `module` is `….mlp.experts`. Decided per layer, by the names present. Throws TENSOR_MISSING, TENSOR_SHAPE_INVALID. */
export function readExperts(claims: TensorClaims, module: string, config: QwenTextConfig): LayerExperts {
  const hasFused = claims.has(`${module}.gate_up_proj`) || claims.has(`${module}.down_proj`)
  if (hasFused && claims.has(`${module}.0.gate_proj.weight`)) {
    throw new AppError('TENSOR_NAME_UNKNOWN', {
      subject: module,
      problem: 'experts are stored both fused and one by one',
      remedy: 'remove one of the two copies',
    })
  }
  return hasFused
    ? { layout: 'fused', experts: readFused(claims, module, config) }
    : { layout: 'per_expert', experts: readPerExpert(claims, module, config) }
}

function readFused(claims: TensorClaims, module: string, config: QwenTextConfig): readonly ExpertSlices[] {
  const { expertCount, expertWidth: f, hiddenSize: h } = config
  const gateUp = claims.take(`${module}.gate_up_proj`, [expertCount, 2 * f, h], 'expert')
  const down = claims.take(`${module}.down_proj`, [expertCount, h, f], 'expert')
  return Array.from({ length: expertCount }, (_, expert) => ({
    gate: rows(gateUp, expert * 2 * f, f, h),
    up: rows(gateUp, expert * 2 * f + f, f, h),
    down: rows(down, expert * h, h, f),
  }))
}

function readPerExpert(
  claims: TensorClaims,
  module: string,
  config: QwenTextConfig,
): readonly ExpertSlices[] {
  const { expertCount, expertWidth: f, hiddenSize: h } = config
  return Array.from({ length: expertCount }, (_, expert) => {
    const name = (projection: string): string => `${module}.${String(expert)}.${projection}.weight`
    return {
      gate: claims.take(name('gate_proj'), [f, h], 'expert'),
      up: claims.take(name('up_proj'), [f, h], 'expert'),
      down: claims.take(name('down_proj'), [h, f], 'expert'),
    }
  })
}

/** Rows `firstRow..firstRow+rowCount` of a tensor seen as a matrix with `cols` columns. */
function rows(tensor: TensorSlice, firstRow: number, rowCount: number, cols: number): TensorSlice {
  const rowBytes = (tensor.sizeBytes / tensor.shape.reduce((product, size) => product * size, 1)) * cols
  return {
    ...tensor,
    shape: [rowCount, cols],
    offsetBytes: tensor.offsetBytes + firstRow * rowBytes,
    sizeBytes: rowCount * rowBytes,
  }
}
