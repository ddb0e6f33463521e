// Bringing back what was: `kith restore`, `undo`, `resolve`; and `verify`, which finds and mends what is damaged.
import { join, resolve as resolvePath } from 'node:path'
import { quote } from '../../core/display.ts'
import { KithError } from '../../core/errors.ts'
import type {
  AcceptedBody,
  ChangeBody,
  CopiedBody,
  OutcomeBody,
  ProgressBody,
  ResolvedBody,
  VerifyBody,
} from '../../daemon/api/schema.ts'
import { failure } from '../client.ts'
import type { Context } from '../context.ts'
import { bytes, count, localTime, name } from '../output.ts'
import { whileShowing } from '../progress.ts'
import { untilInterrupted } from '../signals.ts'

type Arguments = readonly (string | undefined)[]

const FAILED = 1
const GAVE_UP = 4
/** Of one list, on a screen. */
const MAX_LINES = 50
/** In a sentence. */
const MAX_NAMED = 5
const PAST = { create: 'brought back', edit: 'changed back', move: 'moved back', delete: 'deleted' } as const

interface RestoreOptions {
  readonly version?: string
  readonly at?: Date
  readonly to?: string
  readonly dryRun?: boolean
  readonly keepNew?: boolean
}

export async function restore(context: Context, [path = '']: Arguments, options: RestoreOptions): Promise<number> {
  const { client, surroundings } = context
  const { version, at, to, dryRun = false, keepNew = false } = options
  if (version !== undefined && at !== undefined)
    throw new KithError('bad-usage', '--version and --at do not go together: one of them says what is meant.')
  if (to !== undefined && (dryRun || keepNew))
    throw new KithError(
      'bad-usage',
      '--to makes a copy and changes nothing: --dry-run and --keep-new do not go with it.',
    )
  const request = {
    path: resolvePath(surroundings.cwd, path),
    ...(version === undefined ? {} : { version }),
    ...(at === undefined ? {} : { at: at.toISOString() }),
  }
  if (to !== undefined) return copy(context, { ...request, to: resolvePath(surroundings.cwd, to) })
  const body = await whileShowing(context, undefined, () =>
    client.post<OutcomeBody>('/restore', { ...request, dryRun, keepNew }),
  )
  if (body.behind.length === 0) return tell(context, body, 'It is as it was then: nothing to do.')
  const { out, place } = context
  if (out.json) out.document(body)
  out.note(
    'Nothing was changed. By what this device knows it is as it was then, but this disk does not follow what is newer:',
  )
  for (const each of body.behind.slice(0, MAX_LINES)) out.note(`  ${name(each.path)}: ${name(each.message)}`)
  out.note(`Mend that first ("${place.command} status"), then restore it again.`)
  return FAILED
}

interface UndoOptions {
  readonly device: string
  readonly since: Date
  readonly folder?: string
  readonly dryRun?: boolean
}

export async function undo(context: Context, _: Arguments, options: UndoOptions): Promise<number> {
  const { device, since, folder, dryRun = false } = options
  const request = { device, since: since.toISOString(), dryRun, ...(folder === undefined ? {} : { folder }) }
  const body = await whileShowing(context, folder, () => context.client.post<OutcomeBody>('/undo', request))
  const code = tell(context, body, `${name(device)} changed nothing since then that is still so: nothing to do.`)
  if (body.kept.length > 0 && !context.out.json)
    context.out.text(
      `Kept as they are: ${count(body.kept.length, 'file')} that others changed later: ${keptBy(body.kept)}.`,
    )
  if (body.unclear.length === 0) return code
  const paths = body.unclear.map(each => each.path)
  const { command } = context.place
  const silent = body.silent.map(each => each.name)
  const linked = silent.length === 0 ? 'all devices are' : `${some(silent)} ${silent.length === 1 ? 'is' : 'are'}`
  // One that was lost would be waited for without end.
  const lost =
    silent.length === 0
      ? ''
      : ` (one that is lost is not asked any more once it is removed: "${command} device remove NAME")`
  context.out.note(
    `Left as they are, since what ${name(device)} did to them cannot be told from what others did: ${some(paths)}. Try it again while ${linked} linked${lost}, or bring back one of their versions: "${command} history PATH".`,
  )
  return FAILED
}

async function copy(context: Context, request: object): Promise<number> {
  const { out } = context
  const body = await work<CopiedBody>(context, '/restore/copy', request, ({ files, bytes: size }) =>
    [count(files, 'file'), bytes(size)].join(', '),
  )
  if (out.json) out.document(body)
  else out.text(`Wrote ${count(body.files, 'file')} (${bytes(body.bytes)}) to ${name(body.to)}.`)
  for (const path of body.missing.slice(0, MAX_LINES)) out.note(`Not held by any device that answers: ${name(path)}`)
  return body.missing.length === 0 ? 0 : FAILED
}

function tell({ out, place }: Context, body: OutcomeBody, nothing: string): number {
  const { changes, missing, done, pending } = body
  const state = !done ? 'That is what would change' : pending.length > 0 ? 'Under way' : 'Done'
  if (out.json) out.document(body)
  else if (changes.length + missing.length + body.unclear.length + body.kept.length === 0) out.text(nothing)
  else {
    const several = new Set(changes.map(change => change.folder)).size > 1
    for (const change of changes.slice(0, MAX_LINES)) out.text(lineOf(change, several))
    if (changes.length > MAX_LINES) out.text(`and ${count(changes.length - MAX_LINES, 'more change')}: --json`)
    if (changes.length > 0) out.text(`${state}: ${summary(changes)}.`)
  }
  for (const each of pending) out.note(`${name(each.folder)}: ${stillToCome(each, place.command)}`)
  if (missing.length === 0) {
    if (pending.length === 0) return 0
    return pending.some(each => each.stopped !== null) ? FAILED : GAVE_UP
  }
  const paths = missing.map(change => change.path)
  out.note(`Left as they are, since no device that answers holds what they were: ${some(paths)}.`)
  return FAILED
}

function stillToCome({ files, stopped }: OutcomeBody['pending'][number], command: string): string {
  if (stopped !== null) return `it is stored, but the folder stands still: "${command} status" says why.`
  const rest = files === 0 ? 'some of it is still to be written' : `${count(files, 'file')} still to come`
  return `${rest}. It goes on by itself: "${command} wait" returns when it is there, "${command} status" says what is in the way.`
}

function some(paths: readonly string[]): string {
  return listed(paths.map(name))
}

function keptBy(files: OutcomeBody['kept']): string {
  return listed(files.map(({ path, by }) => (by === null ? name(path) : `${name(path)} (${name(by)})`)))
}

function listed(names: readonly string[]): string {
  const more = names.length > MAX_NAMED ? ` and ${names.length - MAX_NAMED} more` : ''
  return names.slice(0, MAX_NAMED).join(', ') + more
}

/** As `diff` and `undo` and `restore` list changes. */
export function lineOf(change: ChangeBody, withFolder: boolean): string {
  const sign = { create: '+', edit: '~', move: '>', delete: '-' }[change.action]
  const folder = withFolder ? `${name(change.folder)}: ` : ''
  const end = change.kind === 'directory' ? '/' : ''
  const from = change.from === null ? '' : `${name(change.from)}${end} → `
  return `  ${sign} ${folder}${from}${name(change.path)}${end}`
}

function summary(changes: readonly ChangeBody[]): string {
  const actions = ['create', 'edit', 'move', 'delete'] as const
  return actions
    .map(action => [action, changes.filter(change => change.action === action).length] as const)
    .filter(([, many]) => many > 0)
    .map(([action, many]) => `${many} ${PAST[action]}`)
    .join(', ')
}

export async function resolve(
  { client, out, surroundings }: Context,
  [path = '']: Arguments,
  { keep }: { readonly keep: string },
): Promise<void> {
  const body = await client.post<ResolvedBody>('/conflicts/resolve', {
    path: resolvePath(surroundings.cwd, path),
    keep,
  })
  if (out.json) out.document(body)
  else if (body.kept === 'both') out.text(`Both are kept, each as a file of its own: ${name(body.path)}.`)
  else
    out.text(`${name(body.path)} is the version that was chosen, on every device; the others are kept in its history.`)
}

interface VerifyOptions {
  readonly accept?: string
}

const ACCEPTED = {
  accepted: 'is taken as it is now, as an edit that goes to all devices; what it was is not known to lie anywhere.',
  repaired: 'was sound on another device, and is mended: nothing had to be accepted.',
  sound: 'is not damaged: there is nothing to accept.',
} as const

async function accept({ client, out, surroundings }: Context, path: string): Promise<number> {
  const body = await client.post<AcceptedBody>('/verify/accept', { path: resolvePath(surroundings.cwd, path) })
  if (out.json) out.document(body)
  else out.text(`${name(body.path)} ${ACCEPTED[body.outcome]}`)
  return 0
}

export async function verify(context: Context, [folder]: Arguments, options: VerifyOptions = {}): Promise<number> {
  const { out, place } = context
  if (options.accept !== undefined) {
    if (folder !== undefined) throw new KithError('bad-usage', '--accept takes a path, and no folder beside it.')
    return accept(context, options.accept)
  }
  const request = folder === undefined ? {} : { name: folder }
  const body = await work<VerifyBody>(context, '/verify', request, ({ files, bytes: size }) =>
    ['checked', count(files, 'file'), bytes(size)].join(' '),
  )
  const lost = body.damaged.filter(each => !each.repaired && !each.unreadable)
  const unreadable = body.damaged.filter(each => each.unreadable)
  if (out.json) out.document(body)
  else {
    out.text(`Read ${count(body.checked, 'file')} again (${bytes(body.bytes)}).`)
    for (const each of body.damaged) {
      const which = each.version ? `a kept version of ${name(each.path)}` : name(each.path)
      const bad = each.unreadable
        ? 'its permissions forbid it, or the disk fails'
        : 'no device that answers holds it whole'
      const state = each.repaired ? out.paint.green('repaired') : out.paint.red(bad)
      out.text(`  ${each.unreadable ? 'unreadable' : 'damaged'}: ${which} in ${name(each.folder)}: ${state}`)
    }
    if (body.damaged.length === 0 && body.checked + body.unverified > 0)
      out.text(body.unverified === 0 ? 'All of it is sound.' : 'The rest is sound.')
    for (const drill of body.drills) {
      const found = drill.damaged === 0 ? 'all sound' : `${drill.damaged} damaged`
      const read = `${count(drill.checked, 'file')} and versions read as a restore reads them, ${found}`
      out.text(
        out.paint.dim(`Last rehearsal of a restore in ${name(drill.folder)}, ${localTime(drill.time)}: ${read}.`),
      )
    }
  }
  if (body.unverified > 0) {
    const files = some([...new Set(body.unverifiedFiles.map(each => each.path))])
    const of = files === '' ? '' : ` of ${files}`
    out.note(
      `${count(body.unverified, 'version')}${of} not verified yet: kept a moment ago and changed since, perhaps by a program that still has the file open. Verify again in two minutes.`,
    )
  }
  if (lost.length > 0) {
    out.note(`${count(lost.length, 'damaged file')} could not be repaired.`)
    for (const each of lost.slice(0, MAX_NAMED)) out.note(remedy(each, place.command))
    if (lost.length > MAX_NAMED)
      out.note(`Of each of the others, "${place.command} explain PATH" says what can be done.`)
  }
  if (lost.some(({ version }) => version))
    out.note('What is left of damaged versions lies in .kith/damaged of the folder, until you remove it.')
  if (unreadable.length > 0)
    out.note(
      `${count(unreadable.length, 'file')} could not be read: check permissions and the disk, then verify again.`,
    )
  if (body.paused.length > 0)
    out.note(
      `Paused, so not verified: ${body.paused.map(name).join(', ')}. "${place.command} folder resume NAME" goes on with it.`,
    )
  return lost.length + unreadable.length + body.paused.length === 0 ? 0 : FAILED
}

/** What a person can do about what nobody who answers has sound. */
function remedy({ root, path, version, away, earlier }: VerifyBody['damaged'][number], command: string): string {
  if (version) return `${name(path)}: that version comes back when a device that has it is switched on.`
  const file = quote(join(root, path))
  const ways = [
    ...(away.length > 0 ? [`switch on ${away.map(name).join(' or ')}, which may have it sound`] : []),
    ...(earlier === null ? [] : [`bring back an earlier version: ${command} restore ${file} --version ${earlier}`]),
    `take it as it is now, on all devices: ${command} verify --accept ${file}`,
  ]
  const who = away.length > 0 ? 'device that answers' : 'known device'
  return `${name(path)} is damaged here, and no ${who} has it sound. What can be done: ${name(ways.join('; or '))}.`
}

/** Long work of the daemon: shows how far it is; Ctrl-C ends it. */
async function work<T extends object>(
  { client, out }: Context,
  path: string,
  request: object,
  show: (progress: ProgressBody['progress']) => string,
): Promise<T> {
  let result: T | null = null
  try {
    await untilInterrupted(async signal => {
      for await (const line of client.lines('POST', path, { signal, body: request })) {
        const told = JSON.parse(line) as T | ProgressBody | { error: unknown }
        if ('progress' in told) out.progress(show(told.progress))
        else if ('error' in told) throw failure(line)
        else result = told as T
      }
    })
  } finally {
    out.endProgress()
  }
  if (result === null) throw new KithError('stopped', 'It was ended before it was done; nothing is left half-done.')
  return result
}
