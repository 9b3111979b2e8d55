/**
 * A disk that is really full, and a file system that really takes no larger file, by the system's own means: a small tmpfs in namespaces of its
 * own, which needs no rights where the system allows that, and a limit on file sizes, which needs none anywhere. What a fault that is injected
 * between us and the system may get wrong would show here: which call fails, and what is left when it did.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { hashExport } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

const CLI = join(import.meta.dirname, '../../../out/main/cli.js')
const RUN = ['run', SAMPLE, '--recipe', 'nvfp4_experts_only-kv_fp8', '--samples', '12', '--seq-len', '256']
const OPTIONS = ['--device', 'cpu', '--workers', '1', '--max-shard-size', '4MB', '--memory', '0']

interface Ended {
  readonly exitCode: number | null
  readonly output: string
}

function shell(command: readonly string[], environment: Readonly<Record<string, string>>): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const [program = '', ...argv] = command
    const env = { ...process.env, ...environment }
    const child = spawn(program, argv, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.on('error', reject)
    child.on('close', (exitCode) => {
      resolve({ exitCode, output })
    })
  })
}

const environment = (out: string, folder: string): Record<string, string> => ({
  DISK: join(folder, 'disk'),
  COPY: join(folder, 'copy'),
  QUANTMILL: [process.execPath, CLI, ...RUN, ...OPTIONS, '--out', out].map((part) => `'${part}'`).join(' '),
})

const undisturbed = (async () => {
  const out = join(await temporaryFolder(), 'export')
  expect((await shell([process.execPath, CLI, ...RUN, ...OPTIONS, '--out', out], {})).exitCode).toBe(0)
  return hashExport(out)
})()

const NAMESPACES = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c']

/** undefined = this system gives everybody a file system of their own. */
function noTmpfsReason(): string | undefined {
  if (process.platform !== 'linux') return 'only Linux has mount namespaces'
  const [program = '', ...argv] = NAMESPACES
  const { status, stderr, error } = spawnSync(program, [...argv, 'mount -t tmpfs tmpfs /tmp'])
  if (status === 0) return undefined
  return `no file system can be mounted here: ${error?.message ?? stderr.toString().trim()}`
}

/** The preflight wants 64 MiB beyond the export, so somebody else has to fill the disk once the run has begun. */
const FILL_AND_CONTINUE = `
mount -t tmpfs -o size=160m tmpfs "$DISK" || exit 9
( until [ -e "$DISK/export.partial/quantmill/journal.jsonl" ]; do sleep 0.01; done
  dd if=/dev/zero of="$DISK/filler" bs=64k 2> /dev/null ) &
filling=$!
eval "$QUANTMILL"
echo "first run: $?"
kill $filling 2> /dev/null
df "$DISK" | tail -1
ls "$DISK"
rm -f "$DISK/filler"
eval "$QUANTMILL" --resume
echo "second run: $?"
cp -r "$DISK/export" "$COPY"
ls "$DISK"
`

test('another program fills the disk in the middle of a run', async ({ skip }) => {
  const reason = noTmpfsReason()
  if (reason !== undefined) {
    process.stderr.write(`skipping the full disk: ${reason}\n`)
    skip(reason)
  }
  const folder = await temporaryFolder()
  await mkdir(join(folder, 'disk'))
  const out = join(folder, 'disk', 'export')
  const { output } = await shell([...NAMESPACES, FILL_AND_CONTINUE], environment(out, folder))
  const lines = output.trim().split('\n')
  expect(lines.filter((line) => /DISK_FULL|run: /.test(line))).toEqual([
    expect.stringMatching(/^error DISK_FULL: .*: the disk is full\. Free some space/),
    'first run: 3',
    'second run: 0',
  ])
  expect(lines.find((line) => line.includes('tmpfs'))).toMatch(/ 100% /)
  // What the disk held: the unfinished run and what filled it; at the end the export alone.
  const first = lines.indexOf('export.partial')
  expect(lines.slice(first, first + 2)).toEqual(['export.partial', 'filler'])
  expect(lines.at(-1)).toBe('export')
  expect(await hashExport(join(folder, 'copy'))).toEqual(await undisturbed)
})

test('a file system that takes no file of the planned size', async ({ skip }) => {
  if (process.platform === 'win32') {
    process.stderr.write('skipping the limit on file sizes: Windows has none\n')
    skip('Windows has no limit on file sizes')
  }
  const folder = await temporaryFolder()
  const out = join(folder, 'export')
  const limited = ['sh', '-c', 'ulimit -f 1000; eval "$QUANTMILL"']
  const { exitCode, output } = await shell(limited, environment(out, folder))
  expect(output).toMatch(/^error DISK_FULL: .*: the file system does not allow a file of this size\./m)
  expect(output).toContain('--max-shard-size')
  expect([exitCode, existsSync(out)]).toEqual([3, false])
  const again = await shell(['sh', '-c', 'eval "$QUANTMILL" --resume'], environment(out, folder))
  expect([again.exitCode, await readdir(folder)]).toEqual([0, ['export']])
  expect(await hashExport(out)).toEqual(await undisturbed)
})
