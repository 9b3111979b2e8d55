/**
 * Main's side of the engine host: starts the process on demand, matches replies to requests by number, turns its death into HOST_CRASHED for
 * whoever waits and into failed jobs for whoever watches. Knows the process only as a HostProcess, so tests need no Electron.
 */
import { AppError } from '../../shared/errors/app-error.ts'
import { CrashedChecks } from './crashed-checks.ts'
import { CrashedJobs } from './crashed-jobs.ts'
import type { HostApi, HostEvents, HostMessage, HostRequestMessage, HostRoute } from './host-api.ts'

export interface HostProcess {
  post(message: HostRequestMessage): void
  onMessage(listener: (message: HostMessage) => void): void
  /** Called once, after the process has ended for whatever reason. */
  onExit(listener: (code: number) => void): void
  /** Ends the process as a whole; native code included. */
  kill(): void
}

export interface HostClientOptions {
  readonly start: () => HostProcess
  readonly emit: <E extends keyof HostEvents>(event: E, payload: HostEvents[E]) => void
  readonly log: (level: 'info' | 'warn' | 'error', message: string) => void
  /** @default 60000: how long `shutdown` waits for running native code before the process is ended as a whole */
  readonly shutdownTimeoutMs?: number
}

interface Waiting {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: AppError) => void
}

/** Crashes in a row, without one answered request between them, after which no further process is started. */
const MAX_CRASHES = 3

export class HostClient {
  readonly #options: HostClientOptions
  readonly #waiting = new Map<number, Waiting>()
  readonly #jobs = new CrashedJobs()
  readonly #checks = new CrashedChecks()
  #process: HostProcess | undefined
  #nextSeq = 1
  #crashes = 0
  #isShuttingDown = false

  constructor(options: HostClientOptions) {
    this.#options = options
  }

  /** The host's interface, as if it were here. Jobs lost with an earlier process are still answered, as failed. */
  readonly api: HostApi = {
    'checkpoint.open': (input) => this.#call('checkpoint.open', input),
    'checkpoint.list_tensors': (input) => this.#call('checkpoint.list_tensors', input),
    'recipe.list': (input) => this.#call('recipe.list', input),
    'plan.make': (input) => this.#call('plan.make', input),
    'plan.scope': (input) => this.#call('plan.scope', input),
    'device.list': (input) => this.#call('device.list', input),
    'job.start': (input) => this.#call('job.start', input),
    'job.preflight': (input) => this.#call('job.preflight', input),
    'job.pause': (input) => this.#control('job.pause', input),
    'job.continue': (input) => this.#control('job.continue', input),
    'job.cancel': (input) => this.#control('job.cancel', input),
    'job.get': async (input) => this.#jobs.crashed(input.jobId) ?? this.#call('job.get', input),
    'job.list': async (input) => [...this.#jobs.allCrashed(), ...(await this.#call('job.list', input))],
    'job.get_log': async (input) => this.#jobs.crashedLog(input.jobId) ?? this.#call('job.get_log', input),
    'partial.list': (input) => this.#call('partial.list', input),
    'partial.remove': (input) => this.#call('partial.remove', input),
    'check.start': (input) => this.#call('check.start', input),
    'check.cancel': (input) => this.#call('check.cancel', input),
    'check.get': (input) => this.#call('check.get', input),
    'check.result': (input) => this.#call('check.result', input),
    'report.get': (input) => this.#call('report.get', input),
    'report.get_page': (input) => this.#call('report.get_page', input),
    'host.shutdown': () => this.shutdown(),
  }

  /** Jobs that a live process is working on. */
  get runningJobCount(): number {
    return this.#jobs.runningCount
  }

  /** Stops jobs cooperatively, then ends the process. Resolves when it is gone; later requests are refused. */
  async shutdown(): Promise<void> {
    const running = this.#process
    this.#isShuttingDown = true
    if (running === undefined) return
    const gone = new Promise<void>((resolve) => {
      running.onExit(() => {
        resolve()
      })
    })
    const { promise: timedOut, cancel } = after(this.#options.shutdownTimeoutMs ?? 60_000)
    const stopped = this.#send(running, 'host.shutdown', {}).catch(() => undefined)
    await Promise.race([stopped, gone, timedOut])
    cancel()
    running.kill()
    await gone
  }

  #call<R extends HostRoute>(route: R, input: Parameters<HostApi[R]>[0]): ReturnType<HostApi[R]> {
    // The reply's type follows from the route; both ends are ours and built together.
    return this.#start().then((host) => this.#send(host, route, input)) as ReturnType<HostApi[R]>
  }

  /** There is nothing left to control of a job that went with its process. */
  async #control(
    route: 'job.pause' | 'job.continue' | 'job.cancel',
    input: Parameters<HostApi['job.cancel']>[0],
  ): Promise<void> {
    if (this.#jobs.crashed(input.jobId) === undefined) await this.#call(route, input)
  }

  #start(): Promise<HostProcess> {
    if (this.#isShuttingDown) return Promise.reject(crashed('the application is closing', 'start it again'))
    if (this.#process !== undefined) return Promise.resolve(this.#process)
    if (this.#crashes >= MAX_CRASHES) {
      const problem = `it ended unexpectedly ${String(MAX_CRASHES)} times in a row`
      return Promise.reject(crashed(problem, 'restart the application and report this with its log'))
    }
    const started = this.#options.start()
    this.#process = started
    started.onMessage((message) => {
      this.#receive(message)
    })
    started.onExit((code) => {
      this.#ended(code)
    })
    return Promise.resolve(started)
  }

  #send(host: HostProcess, route: HostRoute, input: unknown): Promise<unknown> {
    const seq = this.#nextSeq
    this.#nextSeq += 1
    return new Promise((resolve, reject) => {
      this.#waiting.set(seq, { resolve, reject })
      host.post({ kind: 'request', seq, route, input })
    })
  }

  #receive(message: HostMessage): void {
    switch (message.kind) {
      case 'ready':
        this.#options.log('info', 'engine host is ready')
        return
      case 'event':
        this.#relay(message.event, message.payload)
        return
      case 'reply': {
        const waiting = this.#waiting.get(message.seq)
        this.#waiting.delete(message.seq)
        this.#crashes = 0
        if (message.ok) waiting?.resolve(message.value)
        else waiting?.reject(AppError.revive(message.error))
      }
    }
  }

  #relay<E extends keyof HostEvents>(event: E, payload: unknown): void {
    const known = payload as HostEvents[E]
    if ('checkId' in known) this.#checks.observe(known)
    else this.#jobs.observe(event, known)
    this.#options.emit(event, known)
  }

  #ended(code: number): void {
    this.#process = undefined
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    const error = crashed(`it ended unexpectedly (exit code ${String(code)})`, 'try again')
    for (const { reject } of waiting) reject(error)
    if (this.#isShuttingDown) return
    this.#crashes += 1
    this.#options.log('error', `engine host ended with code ${String(code)}`)
    for (const snapshot of this.#jobs.fail(error)) this.#options.emit('job.snapshot', snapshot)
    for (const snapshot of this.#checks.fail(error)) this.#options.emit('check.snapshot', snapshot)
  }
}

function crashed(problem: string, remedy: string): AppError {
  return new AppError('HOST_CRASHED', { subject: 'engine host', problem, remedy })
}

function after(durationMs: number): { readonly promise: Promise<void>; readonly cancel: () => void } {
  let cancel = (): void => undefined
  const promise = new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, durationMs)
    cancel = () => {
      clearTimeout(timer)
    }
  })
  return { promise, cancel }
}
