export interface Mutation {
  readonly row: string
  readonly removes: string
  readonly file: string
  readonly from: string
  readonly to: string
  readonly test: string
}

export const MUTATIONS: readonly Mutation[]
