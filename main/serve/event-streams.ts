/**
 * Server-Sent Events: the hub's events to every open stream. A reader that is too slow loses intermediate snapshots of a job, never the last
 * one, so that a stalled browser tab cannot make the server's memory grow.
 */
import type { ServerResponse } from 'node:http'
import type { EventHub } from '../ipc/event-hub.ts'

/** One tab needs one stream. */
const MAX_STREAMS = 16
const HEARTBEAT_MS = 20_000

export class EventStreams {
  readonly #streams = new Set<EventStream>()
  readonly #stopListening: () => void
  readonly #heartbeat: NodeJS.Timeout

  constructor(events: EventHub) {
    this.#stopListening = events.subscribe((event, payload) => {
      const jobId = event === 'job.snapshot' && 'jobId' in payload ? payload.jobId : undefined
      const text = `event: ${event}\ndata: ${JSON.stringify(payload)}\n\n`
      for (const stream of this.#streams) stream.send(text, jobId)
    })
    this.#heartbeat = setInterval(() => {
      for (const stream of this.#streams) stream.send(': still here\n\n', 'heartbeat')
    }, HEARTBEAT_MS)
    this.#heartbeat.unref()
  }

  /** Takes over a response whose head has not been sent. False when there are too many streams. */
  open(response: ServerResponse, headers: Readonly<Record<string, string>>): boolean {
    if (this.#streams.size >= MAX_STREAMS) return false
    response.writeHead(200, { ...headers, 'Content-Type': 'text/event-stream; charset=utf-8' })
    response.write('retry: 1000\n\n')
    const stream = new EventStream(response)
    this.#streams.add(stream)
    response.on('close', () => this.#streams.delete(stream))
    return true
  }

  close(): void {
    this.#stopListening()
    clearInterval(this.#heartbeat)
    for (const stream of this.#streams) stream.end()
  }
}

class EventStream {
  readonly #response: ServerResponse
  /** What waits for the reader, by job; a newer text replaces an older one. */
  readonly #held = new Map<string, string>()

  constructor(response: ServerResponse) {
    this.#response = response
    response.on('drain', () => {
      const held = [...this.#held.values()]
      this.#held.clear()
      for (const text of held) response.write(text)
    })
  }

  /** With a key the text may be replaced by a later one with the same key while the reader is slow. */
  send(text: string, key: string | undefined): void {
    if (key !== undefined && this.#response.writableNeedDrain) this.#held.set(key, text)
    else this.#response.write(text)
  }

  end(): void {
    this.#response.end()
  }
}
