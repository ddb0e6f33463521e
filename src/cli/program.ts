// The commands, their options and their help; what they do lies in commands/, loaded when one is run. Turns every failure into one line
// on stderr (with `--json` also an `error` document on stdout) and the exit code that the one table gives.
import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { printable } from '../core/display.ts'
import { ERRORS, isKithError } from '../core/errors.ts'
import { Client } from './client.ts'
import type { Context, Surroundings } from './context.ts'
import { Output } from './output.ts'
import { findHome } from './place.ts'
import { parsePast, TimeAhead } from './time.ts'
import { ownVersion } from './version.ts'

const FAILED = 1
const WRONG_USAGE = 2

interface GlobalOptions {
  readonly home?: string
  readonly json?: boolean
}

/** What it resolves with is the exit code; 0 where it is nothing. */
type Run<O> = (
  context: Context,
  args: readonly (string | undefined)[],
  options: O,
  // biome-ignore lint/suspicious/noConfusingVoidType: most commands have nothing to say but that they are done
) => Promise<number | void>

/** Runs one command line; resolves with its exit code. */
export async function runCli(args: readonly string[], surroundings: Surroundings): Promise<number> {
  let exit = 0
  const program = createProgram(surroundings, code => {
    exit = code
  })
  if (args.length === 0) {
    program.outputHelp()
    return 0
  }
  if (asksVersion(args)) {
    surroundings.stdout.write(`${ownVersion()}\n`)
    return 0
  }
  try {
    await program.parseAsync(args, { from: 'user' })
    return exit
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : WRONG_USAGE
    return report(error, program.opts<GlobalOptions>(), surroundings)
  }
}

/** Not an option of commander's: after a command `--version` names a version of a file. */
function asksVersion(args: readonly string[]): boolean {
  let at = 0
  while (args[at] === '--json' || args[at] === '--home' || args[at]?.startsWith('--home=') === true) {
    at += args[at] === '--home' ? 2 : 1
  }
  return args[at] === '--version' || args[at] === '-V'
}

function report(error: unknown, options: GlobalOptions, { stdout, stderr, env, cwd }: Surroundings): number {
  const json = options.json === true
  const known = isKithError(error)
  const code = known ? error.code : 'internal'
  const said = known ? error.message : error instanceof Error ? error.message : String(error)
  // The daemon does not know how a person gets at its home.
  const { command } = findHome(options.home, env, cwd)
  const message = said.replace(/"kith (?!--home )/g, () => `"${command} `)
  const out = new Output({ stdout, stderr }, { json, env })
  if (json) out.documentLine({ error: { code, message } })
  out.note(`kith: ${printable(message)}`)
  const { KITH_DEBUG } = env
  if ((!known || KITH_DEBUG !== undefined) && error instanceof Error && error.stack !== undefined) {
    for (const line of error.stack.split('\n')) out.note(printable(line))
  }
  return known ? ERRORS[error.code].exit : FAILED
}

export function createProgram(surroundings: Surroundings, onExit: (code: number) => void = () => undefined): Command {
  const program = new Command('kith')
  program
    .description('Keeps folders the same on all your devices, and keeps their past. No account, no cloud, no server.')
    .option('--home <dir>', "the device's own directory (default: $KITH_HOME, else the platform's place)")
    .option('--json', 'print JSON for scripts, and nothing else on stdout')
    .exitOverride()
    .showSuggestionAfterError()
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .configureOutput({
      writeOut: text => void surroundings.stdout.write(text),
      writeErr: text => void surroundings.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'kith: ')),
    })
    .helpCommand('help [command]', 'help for a command')
    .addHelpText('after', '\nkith --version prints the version.')

  const run =
    <O>(load: () => Promise<Run<O>>) =>
    async (...given: unknown[]): Promise<void> => {
      const options = given.at(-2) as O
      const args = given.slice(0, -2).flat() as (string | undefined)[]
      const { home, json } = program.opts<GlobalOptions>()
      const place = findHome(home, surroundings.env, surroundings.cwd)
      const out = new Output(surroundings, { json: json === true, env: surroundings.env })
      const run = await load()
      const code = await run({ place, client: new Client(place), out, surroundings }, args, options)
      onExit(code ?? 0)
    }

  addDaemonCommands(program, run)
  addDeviceCommands(program, run)
  addFolderCommands(program, run)
  addPastCommands(program, run)
  addOtherCommands(program, run)
  return program
}

type Runner = <O>(load: () => Promise<Run<O>>) => (...given: unknown[]) => Promise<void>

function addDaemonCommands(program: Command, run: Runner): void {
  program
    .command('up')
    .description('run the daemon here, until Ctrl-C; with PATH, also sync that directory')
    .argument('[path]', 'a directory to sync; made if it does not exist')
    .action(run(async () => (await import('./commands/up.ts')).up))
  program
    .command('start')
    .description('run the daemon in the background')
    .action(run(async () => (await import('./commands/start.ts')).start))
  program
    .command('stop')
    .description('stop the daemon')
    .action(run(async () => (await import('./commands/start.ts')).stop))
  program
    .command('restart')
    .description('stop the daemon and start it in the background')
    .action(run(async () => (await import('./commands/start.ts')).restart))
  program
    .command('daemon', { hidden: true })
    .description('the daemon in the background, as "start" runs it')
    .action(run(async () => (await import('./commands/up.ts')).background))
  program
    .command('status')
    .description('this device, the others, and every folder')
    .option('--watch', 'show it again at every change, until Ctrl-C')
    .action(run(async () => (await import('./commands/status.ts')).status))
  program
    .command('wait')
    .description('return when everything is in sync with every device that is here')
    .option('--timeout <seconds>', 'give up after this time (exit code 4)', seconds)
    .option('--folder <name>', 'only this folder')
    .option('--device <name>', 'also wait for this device to come')
    .action(run(async () => (await import('./commands/wait.ts')).wait))
}

function addDeviceCommands(program: Command, run: Runner): void {
  program
    .command('pair')
    .description('pair with another device: without CODE shows one, with CODE joins the device that shows it')
    .argument('[code]', 'the code that the other device shows')
    .option('--addr <multiaddr>', 'where the other device is, if it cannot be found on this network')
    .option('--timeout <seconds>', 'give up after this time (exit code 4)', seconds)
    .action(run(async () => (await import('./commands/pair.ts')).pair))
  program
    .command('devices')
    .description('the paired devices')
    .action(run(async () => (await import('./commands/devices.ts')).devices))
  const device = program.command('device').description('change one of the paired devices')
  device
    .command('rename')
    .description('call it otherwise, on all devices')
    .argument('<name>')
    .argument('<new>')
    .action(run(async () => (await import('./commands/devices.ts')).rename))
  device
    .command('address')
    .description('add an address at which it can be reached')
    .argument('<name>')
    .argument('<multiaddr>')
    .action(run(async () => (await import('./commands/devices.ts')).address))
  device
    .command('remove')
    .description('revoke it: all other devices refuse it from the moment they hear of it')
    .argument('<name>')
    .option('--yes', 'do not ask; where no terminal is there, nothing is asked anyway')
    .option('--force', 'do not ask, and give up what lies on that device alone')
    .action(run(async () => (await import('./commands/devices.ts')).remove))
}

function addFolderCommands(program: Command, run: Runner): void {
  program
    .command('add')
    .description('start syncing a directory, and offer it to the paired devices')
    .argument('<path>')
    .option('--name <name>', "what it is called (default: the directory's name)")
    .action(run(async () => (await import('./commands/folders.ts')).add))
  program
    .command('folders')
    .description('the folders here, and those that other devices offer')
    .action(run(async () => (await import('./commands/folders.ts')).folders))
  program
    .command('get')
    .description('take a folder that another device offers; what is in PATH already is merged')
    .argument('<name>', 'its name or id')
    .argument('[path]', 'where to put it (default: a directory of its name, here)')
    .action(run(async () => (await import('./commands/folders.ts')).get))
  const folder = program.command('folder').description('change one of the folders here')
  const verbs = [
    ['pause', 'stop syncing it for now'],
    ['resume', 'sync it again'],
    ['approve', 'answer a halt: the folder as it is now is right, and what is gone goes on all devices'],
    ['reject', 'answer a halt: bring the files back'],
    ['remove', 'stop syncing it; the files stay'],
  ] as const
  for (const [verb, description] of verbs) {
    folder
      .command(verb)
      .description(description)
      .argument('<name>')
      .action(run(async () => (await import('./commands/folders.ts'))[verb]))
  }
  folder
    .command('set')
    .description('change its settings on this device; without any, show them')
    .argument('<name>')
    .argument(
      '[settings...]',
      'versions=standard|all, version-limit=SIZE|default, min-copies=NUMBER, max-deletes=PERCENT%',
    )
    .action(run(async () => (await import('./commands/folders.ts')).set))
}

const TIME_HELP = 'TIME is like "2h ago", "yesterday 14:00", "2026-11-20 14:00", "14:00", or RFC 3339.'

function addPastCommands(program: Command, run: Runner): void {
  program
    .command('history')
    .description('every known version of a file or directory, deleted ones too')
    .argument('<path>')
    .action(run(async () => (await import('./commands/history.ts')).history))
  program
    .command('explain')
    .description('the story of a file, in words')
    .argument('<path>')
    .action(run(async () => (await import('./commands/history.ts')).explain))
  program
    .command('ls')
    .description('the tree as it is, or was')
    .argument('[path]', 'a file or directory (default: the current directory)')
    .option('--at <time>', 'as it was then', pastTime)
    .addHelpText('after', `\n${TIME_HELP}`)
    .action(run(async () => (await import('./commands/history.ts')).ls))
  program
    .command('diff')
    .description('what changed between two versions of a text file, or two states of a directory')
    .argument('<path>')
    .option('--version <id>', 'this version and the newest; twice: these two', collected)
    .option('--at <time>', 'what was then and the newest; twice: then and then', pastTimes)
    .addHelpText('after', `\nWithout options: the newest version of a file, and the one before it.\n${TIME_HELP}`)
    .action(run(async () => (await import('./commands/diff.ts')).diff))
  program
    .command('restore')
    .description(
      'bring back a file, a directory or a whole folder as it was (--at, --version); without these only what is gone, as it was last',
    )
    .argument('<path>')
    .option('--version <id>', 'that version of a file, as "history" shows it; its beginning will do', nonEmpty)
    .option('--at <time>', 'as it stood then', pastTime)
    .option('--to <path>', 'write a copy there, where nothing is yet, and change nothing')
    .option('--keep-new', 'leave what came later')
    .option('--dry-run', 'only show what would change')
    .addHelpText(
      'after',
      `\nIn place it is an ordinary change: it syncs, and another restore takes it back.\n${TIME_HELP}`,
    )
    .action(run(async () => (await import('./commands/restore.ts')).restore))
  program
    .command('undo')
    .description('take back what one device did, keeping what others did')
    .requiredOption('--device <name>', 'the device, or this one')
    .requiredOption('--since <time>', 'by the clock of this device', pastTime)
    .option('--folder <name>', 'only in this folder')
    .option('--dry-run', 'only show what would change')
    .addHelpText('after', `\n${TIME_HELP}`)
    .action(run(async () => (await import('./commands/restore.ts')).undo))
  program
    .command('conflicts')
    .description('files of which versions of several devices are kept beside one another')
    .action(run(async () => (await import('./commands/conflicts.ts')).conflicts))
  program
    .command('resolve')
    .description('settle a conflict, on all devices')
    .argument('<path>')
    .requiredOption(
      '--keep <version>',
      'a version as "conflicts" shows it (its beginning will do), or "both"',
      nonEmpty,
    )
    .action(run(async () => (await import('./commands/restore.ts')).resolve))
  program
    .command('verify')
    .description('read every file and kept version again; what is damaged is repaired from another device')
    .argument('[name]', 'only this folder')
    .option('--accept <path>', 'take a damaged file that no device has sound as it is now, as an edit', nonEmpty)
    .action(run(async () => (await import('./commands/restore.ts')).verify))
  program
    .command('copies')
    .description('on how many devices the newest version of each file is held, and what would be lost with this one')
    .argument('[path]', 'a file or directory (default: all folders)')
    .action(run(async () => (await import('./commands/history.ts')).copies))
}

function addOtherCommands(program: Command, run: Runner): void {
  program
    .command('events')
    .description('what happens, as a line of JSON each, until Ctrl-C')
    .action(run(async () => (await import('./commands/events.ts')).events))
  program
    .command('demo')
    .description('see it work: two throw-away devices on this machine meet, pair, sync, and merge')
    .action(run(async () => (await import('./commands/demo.ts')).demo))
  program
    .command('completion')
    .description('print the completion script of a shell')
    .addArgument(program.createArgument('<shell>').choices(['bash', 'zsh', 'fish']))
    .action(
      run(async () => {
        const { completion } = await import('./commands/completion.ts')
        return (context, [shell]) => completion(context, shell, program)
      }),
    )
}

function pastTime(text: string): Date {
  try {
    const time = parsePast(text, new Date())
    if (time !== null) return time
  } catch (error) {
    if (!(error instanceof TimeAhead)) throw error
    throw new InvalidArgumentError('That is still to come: say a time that was.')
  }
  throw new InvalidArgumentError(TIME_HELP)
}

function pastTimes(text: string, before: readonly Date[] | undefined): readonly Date[] {
  return [...(before ?? []), pastTime(text)]
}

function nonEmpty(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('It is empty.')
  return text
}

function collected(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), nonEmpty(text)]
}

function seconds(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0 || value > 2_000_000) {
    throw new InvalidArgumentError('Give a number of seconds.')
  }
  return value
}
