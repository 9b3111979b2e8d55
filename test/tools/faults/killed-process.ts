/** Runs of the command line in a process of their own that ends, as by a power cut, at a call of a given number. */
import { spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'
import type { RunOptions } from '../../../shared/domain/run-options.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const CLI = join(import.meta.dirname, '../../../out/main/cli.js')

export type ProcessEnd = readonly [exitCode: number | null, signal: NodeJS.Signals | null]

/** The run that `options` stand for, as far as the scenarios of the fault tests use them. */
function argvOf(options: RunOptions, checkpointPath: string, outputPath: string): string[] {
  const { recipe, workers, maxShardSizeBytes, device, samples, sequenceLength, memoryBytes } = options
  const given = {
    '--recipe': recipe,
    '--out': outputPath,
    '--workers': workers,
    '--max-shard-size': maxShardSizeBytes,
    '--device': device,
    '--samples': samples,
    '--seq-len': sequenceLength,
    '--memory': memoryBytes,
  }
  const pairs = Object.entries(given).filter(([, value]) => value !== undefined)
  return ['run', checkpointPath, ...pairs.flatMap(([name, value]) => [name, String(value)])]
}

export function cliRun(
  options: RunOptions,
  checkpointPath: string,
  outputPath: string,
  more: readonly string[] = [],
): Promise<ProcessEnd> {
  return start([CLI, ...argvOf(options, checkpointPath, outputPath), ...more])
}

/** Calls on files below the folder of the output count. */
export async function killAtCall(
  options: RunOptions,
  checkpointPath: string,
  outputPath: string,
  at: number,
): Promise<ProcessEnd> {
  const folder = await temporaryFolder()
  const source = await readFile(join(import.meta.dirname, 'host-faults.ts'), 'utf8')
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
  })
  await writeFile(join(folder, 'host-faults.mjs'), outputText)
  const fault = JSON.stringify({ folder: join(outputPath, '..'), at, kind: 'kill' })
  // Threads load it as well, and would count for themselves.
  const script = `
import { isMainThread } from 'node:worker_threads'
import { installHostFault } from './host-faults.mjs'
if (isMainThread) installHostFault(${fault})
`
  await writeFile(join(folder, 'kill.mjs'), script)
  const preload = pathToFileURL(join(folder, 'kill.mjs')).href
  return start(['--import', preload, CLI, ...argvOf(options, checkpointPath, outputPath)])
}

function start(argv: readonly string[]): Promise<ProcessEnd> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, argv, { stdio: 'ignore' })
    child.on('error', reject)
    child.on('exit', (exitCode, signal) => {
      resolve([exitCode, signal])
    })
  })
}
