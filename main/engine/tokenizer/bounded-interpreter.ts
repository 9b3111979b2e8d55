/**
 * Runs a chat template of a checkpoint with a budget: templates are programs, and three nested loops of 10,000 steps or a string that doubles
 * sixty times are enough to stop a machine. Wraps the interpreter of @huggingface/jinja.
 */
import { Interpreter } from '@huggingface/jinja'

/** CWE-834: expressions, statements and turns of loops of one conversation; real templates take some tens for each message. */
const MAX_STEPS = 1_000_000
/** CWE-770: characters of any text on the way; a line of calibration data has at most as many. */
const MAX_CHARACTERS = 64 * 1024 * 1024
/** CWE-770: a conversation has at most 10,000 messages. */
const MAX_ELEMENTS = 1_000_000

type Evaluate = Interpreter['evaluate']

export class BoundedInterpreter extends Interpreter {
  private steps = 0
  /** What loops of the template go over: its length counts, also where the loop has no body. */
  private readonly iterables = new WeakSet<object>()

  /** Throws Error above a bound, besides what the template throws. */
  override evaluate(...[statement, environment]: Parameters<Evaluate>): ReturnType<Evaluate> {
    if (statement !== undefined && 'iterable' in statement && isObject(statement.iterable))
      this.iterables.add(statement.iterable)
    this.charge(1)
    const result = super.evaluate(statement, environment)
    const value: unknown = result.value
    if (typeof value === 'string' && value.length > MAX_CHARACTERS)
      throw new Error(`it makes a text of more than ${String(MAX_CHARACTERS)} characters`)
    if (Array.isArray(value)) {
      if (value.length > MAX_ELEMENTS)
        throw new Error(`it makes a list of more than ${String(MAX_ELEMENTS)} elements`)
      if (statement !== undefined && this.iterables.has(statement)) this.charge(value.length)
    }
    return result
  }

  private charge(steps: number): void {
    this.steps += steps
    if (this.steps > MAX_STEPS) throw new Error(`it takes more than ${String(MAX_STEPS)} steps`)
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
