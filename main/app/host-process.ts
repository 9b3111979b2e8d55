/** Starts the engine host as a utility process: fixed environment, no arguments, output into the log. */
import { utilityProcess } from 'electron'
import type { HostProcess } from '../host/client.ts'
import { hostEnvironment } from '../host/host-environment.ts'
import type { LogSink } from './log-sink.ts'

export function startHostProcess(entryFile: string, log: LogSink): HostProcess {
  const child = utilityProcess.fork(entryFile, [], {
    env: hostEnvironment(process.env),
    execArgv: [],
    stdio: 'pipe',
    serviceName: 'Quantmill engine host',
  })
  for (const [level, stream] of [
    ['info', child.stdout],
    ['error', child.stderr],
  ] as const) {
    stream?.on('data', (chunk: Buffer) => {
      const text = chunk.toString('utf8').trim().slice(0, 4_000)
      if (text !== '') log.write(level, 'host', text)
    })
  }
  return {
    post: (message) => {
      child.postMessage(message)
    },
    onMessage: (listener) => {
      child.on('message', listener)
    },
    onExit: (listener) => {
      child.once('exit', listener)
    },
    kill: () => {
      child.kill()
    },
  }
}
