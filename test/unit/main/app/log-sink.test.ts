import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { LogSink } from '../../../../main/app/log-sink.ts'
import { temporaryFolder } from '../../../tools/temporary-folder.ts'

test('a record is one JSON line, whatever the message contains, with the home folder shortened', async () => {
  const folder = await temporaryFolder()
  const log = new LogSink({ folder, homeFolder: '/home/ada', now: () => 0 })
  log.write('warn', 'main', 'two\nlines in /home/ada/model')
  expect(await readFile(join(folder, 'quantmill.jsonl'), 'utf8')).toBe(
    '{"time":"1970-01-01T00:00:00.000Z","level":"warn","source":"main","message":"two\\nlines in ~/model"}\n',
  )
})

// A log without a bound fills the disk that the export needs.
test('files rotate at the bound and the oldest goes', async () => {
  const folder = await temporaryFolder()
  const log = new LogSink({ folder, homeFolder: '/', maxFileBytes: 100, maxFiles: 3, now: () => 0 })
  for (const message of ['one', 'two', 'three', 'four']) log.write('info', 'x', message)
  expect((await readdir(folder)).sort()).toEqual([
    'quantmill.1.jsonl',
    'quantmill.2.jsonl',
    'quantmill.jsonl',
  ])
  expect(await readFile(join(folder, 'quantmill.jsonl'), 'utf8')).toContain('four')
  expect(await readFile(join(folder, 'quantmill.2.jsonl'), 'utf8')).toContain('two')
})

test('the bound counts what an earlier start wrote', async () => {
  const folder = await temporaryFolder()
  const options = { folder, homeFolder: '/', maxFileBytes: 100, now: () => 0 }
  new LogSink(options).write('info', 'x', 'one')
  new LogSink(options).write('info', 'x', 'two')
  expect(await readdir(folder)).toHaveLength(2)
})

test('a log that cannot be written does not stop the application', async () => {
  const folder = join(await temporaryFolder(), 'logs')
  const log = new LogSink({ folder, homeFolder: '/' })
  await rm(folder, { recursive: true })
  log.write('error', 'x', 'lost')
  await mkdir(folder)
  log.write('error', 'x', 'kept')
  expect(await readdir(folder)).toEqual(['quantmill.jsonl'])
})
