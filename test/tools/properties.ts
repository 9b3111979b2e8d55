/**
 * fast-check with one seed for all properties. `npm test` draws the same cases every time, so that it fails for a change and not by chance;
 * `npm run properties` draws others, and more of them. A test imports `fc` from here, never from the library.
 */
import fc from 'fast-check'
import fixed from './property-seed.json' with { type: 'json' }

function whole(name: string, otherwise: number): number {
  const text = process.env[name] ?? String(otherwise)
  if (!/^\d+$/.test(text)) throw new Error(`${name} is ${text}, not a whole number`)
  return Number(text)
}

const factor = whole('QUANTMILL_PROPERTY_RUNS', 1)

/** Parameters for a property that is tried `count` times in `npm test`. Without them it is tried 100 times. */
export function runs(count: number): { readonly numRuns: number } {
  return { numRuns: Math.ceil(count * factor) }
}

fc.configureGlobal({ seed: whole('QUANTMILL_PROPERTY_SEED', fixed.seed), ...runs(100) })

export { fc }
