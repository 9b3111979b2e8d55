/** A recipe as the YAML text that is copied into the export: the user's own text, or a built-in recipe written out in full. */
import { stringify } from 'yaml'
import type { BlockSizes, NumBits, QuantizerAttributes, Recipe, RecipeEntry } from './recipe.ts'

/** YAML that loads to the same recipe again. Ends with a newline. */
export function recipeText(recipe: Recipe): string {
  if (recipe.sourceText !== undefined) return recipe.sourceText
  const text = {
    name: recipe.name,
    purpose: recipe.purpose,
    ...(recipe.expertInputScale === undefined ? {} : { expert_input_scale: recipe.expertInputScale }),
    fallback: recipe.fallback,
    ...(recipe.dialect === undefined ? {} : { dialect: recipe.dialect }),
    quantize: { algorithm: algorithmText(recipe), quant_cfg: recipe.entries.map(entryText) },
  }
  return stringify(text, { lineWidth: 0 })
}

function algorithmText({ method, hasScaleSweep, smoothing }: Recipe): unknown {
  if (smoothing?.kind === 'awq_lite') return { method: smoothing.kind, alpha_step: smoothing.alphaStep }
  if (smoothing?.kind === 'smoothquant') return { method: smoothing.kind, alpha: smoothing.alpha }
  return method === 'mse' ? { method, fp8_scale_sweep: hasScaleSweep } : method
}

function entryText(entry: RecipeEntry): Record<string, unknown> {
  return {
    quantizer_name: entry.pattern,
    ...(entry.parentClass === undefined ? {} : { parent_class: entry.parentClass }),
    ...(entry.cfg === undefined ? {} : { cfg: attributesText(entry.cfg) }),
    ...(entry.cfg !== undefined && entry.isEnabled ? {} : { enable: entry.isEnabled }),
  }
}

function attributesText(cfg: QuantizerAttributes): Record<string, unknown> {
  return {
    num_bits: bitsText(cfg.numBits),
    ...(cfg.axis === undefined ? {} : { axis: cfg.axis }),
    ...(cfg.block === undefined ? {} : { block_sizes: blockText(cfg.block) }),
    ...(cfg.isDynamic ? { type: 'dynamic' } : {}),
    ...(cfg.constantAmax === undefined ? {} : { constant_amax: cfg.constantAmax }),
    ...(cfg.usesConstantAmax ? { use_constant_amax: true } : {}),
    ...(cfg.isFakeQuant ? {} : { fake_quant: false }),
  }
}

function blockText(block: BlockSizes): Record<string, unknown> {
  return {
    ...(block.last === undefined ? {} : { '-1': block.last }),
    ...(block.secondLast === undefined ? {} : { '-2': block.secondLast }),
    type: block.isDynamic ? 'dynamic' : 'static',
    ...(block.scaleBits === undefined ? {} : { scale_bits: bitsText(block.scaleBits) }),
    ...(block.isFourOverSix ? { four_over_six: true } : {}),
  }
}

function bitsText(bits: NumBits): number | string {
  return bits
}
