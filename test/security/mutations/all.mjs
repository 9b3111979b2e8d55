import { BEYOND } from './beyond.mjs'
import { CHECKLIST } from './checklist.mjs'

export const MUTATIONS = [...CHECKLIST, ...BEYOND]
