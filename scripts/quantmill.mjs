#!/usr/bin/env node
// The command line from a clone: sets up quietly when something is missing, then becomes the built command line in this process, so that
// exit code, signals and streams are its own. Relative paths mean the directory the user typed the command in (npm puts it into INIT_CWD).
import './lib/node-version.mjs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from './lib/processes.mjs'
import { setUpOrExit } from './setup.mjs'

await setUpOrExit()
const cli = join(root, 'out', 'main', 'cli.js')
if (process.env.npm_lifecycle_event !== 'quantmill') delete process.env.INIT_CWD
process.argv[1] = cli
await import(pathToFileURL(cli).href)
