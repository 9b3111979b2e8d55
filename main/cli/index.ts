/** The command line. Standard output carries results only; errors are one line on standard error and an exit code. */
import { AppError, withoutStack } from '../../shared/errors/app-error.ts'
import { EXIT_CODES } from '../../shared/errors/codes.ts'
import { buildFiles } from '../host/build-files.ts'
import { usage } from './arguments.ts'
import type { Command, CommandContext } from './command.ts'
import { compareCommand } from './commands/compare.ts'
import { convertCommand } from './commands/convert.ts'
import { doctorCommand } from './commands/doctor.ts'
import { evalCommand } from './commands/eval.ts'
import { inspectCommand } from './commands/inspect.ts'
import { partialsCommand } from './commands/partials.ts'
import { planCommand } from './commands/plan.ts'
import { resumeCommand } from './commands/resume.ts'
import { runCommand } from './commands/run.ts'
import { sampleCommand } from './commands/sample.ts'
import { serveCommand } from './commands/serve.ts'
import { verifyCommand } from './commands/verify.ts'

const COMMANDS: readonly Command[] = [
  inspectCommand,
  planCommand,
  runCommand,
  partialsCommand,
  resumeCommand,
  verifyCommand,
  compareCommand,
  doctorCommand,
  convertCommand,
  evalCommand,
  sampleCommand,
  serveCommand,
]

function overview(version: string): string {
  const rows = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(9)}${summary}`)
  return `quantmill ${version}\n\n${rows.join('\n')}\n\nquantmill <command> --help shows a command's options.`
}

async function main(argv: readonly string[]): Promise<number> {
  let asked: NodeJS.Signals | undefined
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      asked ??= signal
    })
  }
  const context: CommandContext = {
    files: buildFiles(import.meta.url),
    print: (text) => process.stdout.write(`${text}\n`),
    note: (text) => process.stderr.write(text),
    isTerminal: process.stderr.isTTY,
    isCancelled: () => asked !== undefined,
    signal: () => asked,
  }
  try {
    return await dispatch(argv, context)
  } catch (thrown: unknown) {
    return reportError(asStopped(AppError.from(thrown), asked), argv, context)
  }
}

async function dispatch([name, ...rest]: readonly string[], context: CommandContext): Promise<number> {
  if (name === undefined || ['--help', '-h', 'help'].includes(name)) {
    context.print(overview(context.files.version))
    return name === undefined ? EXIT_CODES.input : 0
  }
  if (name === '--version') {
    context.print(context.files.version)
    return 0
  }
  const command = COMMANDS.find((candidate) => candidate.name === name)
  if (command === undefined) throw usage('help', `there is no command "${name}"`)
  if (rest.includes('--help') || rest.includes('-h')) {
    context.print(command.help)
    return 0
  }
  return command.run(rest, context)
}

/** A person cancels, a system stops: the state is the same, what a script should do next is not. */
function asStopped(error: AppError, signal: NodeJS.Signals | undefined): AppError {
  if (error.kind !== 'cancelled' || signal === undefined || signal === 'SIGINT') return error
  return new AppError('STOPPED', {
    subject: error.subject,
    problem: `the system asked it to end (${signal})`,
    remedy: 'do the same again; a run continues with --resume',
  })
}

function reportError(error: AppError, argv: readonly string[], context: CommandContext): number {
  if (context.isTerminal) context.note('\r\u001b[K')
  for (const line of error.toLines()) context.note(`error ${line}\n`)
  if (error.kind === 'bug' && error.stack !== undefined) context.note(`${error.stack}\n`)
  if (argv.includes('--json')) context.print(JSON.stringify({ error: withoutStack(error.serialise()) }))
  return EXIT_CODES[error.kind]
}

process.exitCode = await main(process.argv.slice(2))
