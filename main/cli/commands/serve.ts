import { homedir } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { createEngineHost } from '../../host/engine-host.ts'
import { EventHub } from '../../ipc/event-hub.ts'
import { startServer } from '../../serve/start-server.ts'
import { settingsFile } from '../../user-data/config-folder.ts'
import { UserData } from '../../user-data/user-data.ts'
import { parseArguments, usage } from '../arguments.ts'
import type { Command } from '../command.ts'

const CANCEL_POLL_MS = 100
const MAX_PORT = 65_535

export const serveCommand: Command = {
  name: 'serve',
  summary: 'the window in your browser, on this machine only',
  help: `quantmill serve [--port N] [--open DIR]

  --port N     port on 127.0.0.1 (default: any free one)
  --open DIR   offer this folder in the folder list, besides home and the current directory

Prints an address with a token that works once; the browser keeps the session. Ctrl-C ends it.`,
  async run(argv, { files, print, note, isCancelled }) {
    const table = { port: { type: 'string' }, open: { type: 'string' } } as const
    const parsed = parseArguments('serve', argv, table, [])
    const port = parsed.wholeNumber('port', 0)
    if (port !== undefined && port > MAX_PORT)
      throw usage('serve', `--port ${String(port)} is above ${String(MAX_PORT)}`)
    const open = parsed.path('open')
    const events = new EventHub()
    const host = createEngineHost({
      environment: files,
      emit: (event, payload) => {
        events.emitFromHost(event, payload)
      },
    })
    const server = await startServer({
      host,
      events,
      rendererFolder: files.rendererFolder,
      sampleFolder: files.sampleFolder,
      version: files.version,
      cpuCount: files.cpuCount,
      port,
      userData: new UserData(
        settingsFile({ platform: process.platform, homeFolder: homedir(), environment: process.env }),
      ),
      open: open === undefined ? undefined : [open],
      logError: (source, error) => {
        note(`${source}: ${error.toLine()}\n`)
      },
    })
    print(`Quantmill is ready at ${server.url}`)
    while (!isCancelled()) await sleep(CANCEL_POLL_MS)
    await host['host.shutdown']({})
    await server.close()
    return 0
  },
}
