/** A host process that a test drives by hand. */
import type { HostProcess } from '../../main/host/client.ts'
import type { HostMessage, HostRequestMessage } from '../../main/host/host-api.ts'

export class FakeHostProcess implements HostProcess {
  readonly posted: HostRequestMessage[] = []
  isKilled = false
  readonly #messageListeners: ((message: HostMessage) => void)[] = []
  readonly #exitListeners: ((code: number) => void)[] = []

  post(message: HostRequestMessage): void {
    this.posted.push(message)
  }

  onMessage(listener: (message: HostMessage) => void): void {
    this.#messageListeners.push(listener)
  }

  onExit(listener: (code: number) => void): void {
    this.#exitListeners.push(listener)
  }

  kill(): void {
    this.isKilled = true
    this.exit(0)
  }

  say(message: HostMessage): void {
    for (const listener of this.#messageListeners) listener(message)
  }

  exit(code: number): void {
    for (const listener of this.#exitListeners.splice(0)) listener(code)
  }
}
