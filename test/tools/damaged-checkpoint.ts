/** Copies of the sample with one thing wrong. Untouched files are hard links, so a copy costs nothing. */
import { copyFile, link, mkdir, open, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SAMPLE } from './sample-path.ts'
import { temporaryFolder } from './temporary-folder.ts'

/** A folder with the sample's files; those in `own` are real copies that a test may change. */
export async function copySample(own: readonly string[] = []): Promise<string> {
  const folder = join(await temporaryFolder(), 'checkpoint')
  await mkdir(folder)
  for (const name of await readdir(SAMPLE)) {
    if (own.includes(name)) await copyFile(join(SAMPLE, name), join(folder, name))
    else {
      await link(join(SAMPLE, name), join(folder, name)).catch(() =>
        copyFile(join(SAMPLE, name), join(folder, name)),
      )
    }
  }
  return folder
}

/** Replaces the JSON header of a shard; `change` edits the parsed header, the data section stays where it was. */
export async function changeHeader(
  path: string,
  change: (header: Record<string, { dtype: string; shape: number[]; data_offsets: number[] }>) => void,
): Promise<void> {
  const bytes = await readFile(path)
  const length = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString('utf8')) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: number[] }
  >
  change(header)
  const text = Buffer.from(JSON.stringify(header))
  const head = Buffer.alloc(8)
  head.writeBigUInt64LE(BigInt(text.length))
  await writeFile(path, Buffer.concat([head, text, bytes.subarray(8 + length)]))
}

export async function writeHeaderLength(path: string, length: bigint): Promise<void> {
  const handle = await open(path, 'r+')
  const head = Buffer.alloc(8)
  head.writeBigUInt64LE(length)
  await handle.write(head, 0, 8, 0)
  await handle.close()
}

export async function cutFile(path: string, byBytes: number): Promise<void> {
  const size = (await readFile(path)).length
  await truncate(path, size - byBytes)
}

/** Overwrites one BF16 element of a tensor. */
export async function poke(path: string, tensor: string, elementIndex: number, bits: number): Promise<void> {
  const bytes = await readFile(path)
  const length = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString('utf8')) as Record<
    string,
    { data_offsets: number[] }
  >
  const begin = header[tensor]?.data_offsets[0]
  if (begin === undefined) throw new Error(`${tensor} is not in ${path}`)
  bytes.writeUInt16LE(bits, 8 + length + begin + elementIndex * 2)
  await writeFile(path, bytes)
}

export async function changeJson(
  path: string,
  change: (json: Record<string, unknown>) => void,
): Promise<void> {
  const json = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
  change(json)
  await writeFile(path, JSON.stringify(json))
}
