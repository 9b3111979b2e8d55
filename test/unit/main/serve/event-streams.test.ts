import type { ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import { EventHub } from '../../../../main/ipc/event-hub.ts'
import { EventStreams } from '../../../../main/serve/event-streams.ts'
import type { JobId } from '../../../../shared/domain/job.ts'
import { fakeSnapshot } from '../../../fakes/fake-host.ts'

class FakeResponse {
  writableNeedDrain = false
  readonly written: string[] = []
  isEnded = false
  readonly #listeners = new Map<string, () => void>()

  writeHead(): void {
    this.written.length = 0
  }

  write(text: string): void {
    this.written.push(text)
  }

  end(): void {
    this.isEnded = true
  }

  on(name: string, listener: () => void): void {
    this.#listeners.set(name, listener)
  }

  fire(name: string): void {
    this.#listeners.get(name)?.()
  }
}

const open = (streams: EventStreams, response: FakeResponse): boolean =>
  streams.open(response as unknown as ServerResponse, {})

const sequences = ({ written }: FakeResponse): number[] =>
  written.flatMap((text) => [...text.matchAll(/"sequence":(\d+)/g)].map(([, number]) => Number(number)))

// A browser tab in the background stops reading while a run of hours goes on.
test('a slow reader loses intermediate snapshots, never the last one and never a log line', () => {
  const hub = new EventHub()
  const streams = new EventStreams(hub)
  const response = new FakeResponse()
  open(streams, response)
  hub.emit('job.snapshot', fakeSnapshot('j_1', { sequence: 1 }))
  response.writableNeedDrain = true
  for (const sequence of [2, 3, 4]) hub.emit('job.snapshot', fakeSnapshot('j_1', { sequence }))
  hub.emit('job.snapshot', fakeSnapshot('j_2', { sequence: 9 }))
  hub.emit('job.log', { jobId: 'j_1' as JobId, timeMs: 0, level: 'info', message: 'kept' })
  expect(sequences(response)).toEqual([1])
  expect(response.written.join('')).toContain('kept')
  response.writableNeedDrain = false
  response.fire('drain')
  expect(sequences(response)).toEqual([1, 4, 9])
  streams.close()
  expect(response.isEnded).toBe(true)
})

test('the number of streams is bounded, and a closed one makes room', () => {
  const streams = new EventStreams(new EventHub())
  const responses = Array.from({ length: 16 }, () => new FakeResponse())
  expect(responses.map((response) => open(streams, response)).every(Boolean)).toBe(true)
  expect(open(streams, new FakeResponse())).toBe(false)
  responses[0].fire('close')
  expect(open(streams, new FakeResponse())).toBe(true)
  streams.close()
})
