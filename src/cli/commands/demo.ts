// `kith demo`: see it work in one terminal. Two ordinary daemons with homes of their own, in a directory that is thrown away, driven by
// this same command line: all that happens here can be typed. Everything is taken away at the end, however it ends.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KithError } from '../../core/errors.ts'
import type { FoldersBody, PairedBody, PairingOfferBody, StatusBody } from '../../daemon/api/schema.ts'
import type { Context } from '../context.ts'
import { Actor } from '../demo-actor.ts'
import type { Output } from '../output.ts'
import { untilInterrupted } from '../signals.ts'

const STEP_SECONDS = 60
const FIND_SECONDS = 12

const LIST = ['Shopping', '', '- bread', '- milk', '- apples', '- coffee', '']

export async function demo({ out }: Context): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'kith-demo-'))
  const laptop = new Actor('laptop', directory)
  const desktop = new Actor('desktop', directory)
  const startedAt = performance.now()
  const interrupted = await untilInterrupted(
    signal => play({ out, laptop, desktop, signal }),
    async () => {
      await Promise.all([laptop.end(), desktop.end()])
      await rm(directory, { recursive: true, force: true })
    },
  )
  if (interrupted) throw new KithError('stopped', 'The demo was interrupted; everything of it is gone again.')
  out.text()
  out.text(
    `That took ${Math.round((performance.now() - startedAt) / 1000)} s; both devices and their files are gone again.`,
  )
  out.text('Now yours:  kith up ~/notes   and, on another device,  kith up   then   kith pair')
}

interface Stage {
  readonly out: Output
  readonly laptop: Actor
  readonly desktop: Actor
  readonly signal: AbortSignal
}

async function play(stage: Stage): Promise<void> {
  const { out } = stage
  const found = await meet(stage)
  await share(stage)
  const merged = await editApart(stage)
  if (out.json) out.document({ found, merged })
}

async function meet({ out, laptop, desktop, signal }: Stage): Promise<'mdns' | 'address'> {
  say(out, '1  Two devices start, each with a home of its own.')
  for (const actor of [laptop, desktop]) {
    await mkdir(actor.home, { mode: 0o700, recursive: true })
    await writeFile(join(actor.home, 'config.toml'), `name = "${actor.name}"\n`)
  }
  await mkdir(laptop.folder('notes'))
  await writeFile(join(laptop.folder('notes'), 'shopping.md'), LIST.join('\n'))
  const [status] = await Promise.all([laptop.up(['notes'], { signal }), desktop.up([], { signal })])
  shell(out, laptop, 'kith up notes')
  shell(out, desktop, 'kith up')

  say(out, '2  They are paired with a one-time code.')
  const pairing = laptop.lines(['pair', '--json'], { signal })
  const offer = JSON.parse(await pairing.next()) as PairingOfferBody
  shell(out, laptop, 'kith pair', `shows ${offer.code}`)
  shell(out, desktop, `kith pair ${offer.code}`)
  const found = await joinWith(desktop, offer.code, status, { out, signal })
  const { paired } = JSON.parse(await pairing.next()) as PairedBody
  await pairing.ended()
  out.text(
    `     laptop and ${paired.name} found each other${found === 'mdns' ? ' on the network' : ' at an address given by hand'}, and are paired.`,
  )
  return found
}

/** By multicast, as at home; where this machine has none, by the address. */
async function joinWith(
  desktop: Actor,
  code: string,
  laptop: StatusBody,
  { out, signal }: { out: Output; signal: AbortSignal },
): Promise<'mdns' | 'address'> {
  const alone = await desktop.try(['pair', code, '--timeout', String(FIND_SECONDS), '--json'], { signal })
  if (alone.code === 0) return 'mdns'
  const port = laptop.daemon.addresses
    .map(address => /\/tcp\/(\d+)/.exec(address)?.[1])
    .find(each => each !== undefined)
  const address = `/ip4/127.0.0.1/tcp/${port ?? ''}/p2p/${laptop.device.id}`
  out.text('     This machine has no multicast, so they cannot find each other by themselves: the address is given.')
  shell(out, desktop, `kith pair ${code} --addr ${address}`)
  await desktop.run(['pair', code, '--addr', address], { signal })
  return 'address'
}

async function share({ out, laptop, desktop, signal }: Stage): Promise<void> {
  say(out, '3  The desktop takes the folder "notes".')
  shell(out, desktop, 'kith get notes')
  await desktop.run(['get', 'notes', desktop.folder('notes')], { signal })
  const { folders } = await laptop.json<FoldersBody>(['folders'], { signal })
  if (folders.length !== 1) throw new KithError('internal', 'The laptop does not show its folder.')
  await agree(laptop, desktop, signal)
  const files = await readdir(desktop.folder('notes'))
  out.text(`     On the desktop now: ${files.filter(file => file !== '.kith').join(', ')}`)
}

async function editApart({ out, laptop, desktop, signal }: Stage): Promise<string> {
  say(out, '4  The desktop is switched off. Both edit the same file.')
  shell(out, desktop, 'kith stop')
  await desktop.run(['stop'], { signal })
  await change(laptop, '- bread', '- bread (two, for the weekend)')
  await change(desktop, '- coffee', '- coffee, and filters')
  out.text('     laptop:   - bread   →  - bread (two, for the weekend)')
  out.text('     desktop:  - coffee  →  - coffee, and filters')

  say(out, '5  They meet again.')
  await desktop.up([], { signal })
  shell(out, desktop, 'kith up')
  shell(out, laptop, 'kith wait')
  await agree(laptop, desktop, signal)
  const [one, other] = await Promise.all([laptop, desktop].map(actor => readFile(file(actor), 'utf8')))
  const whole = one === other && one?.includes('two, for the weekend') && one.includes('and filters')
  if (one === undefined || whole !== true)
    throw new KithError('internal', 'The two devices did not come to one merged file.')
  out.text('     The same file on both, with both edits:')
  out.text()
  for (const line of one.trimEnd().split('\n')) out.text(`       ${line}`.trimEnd())
  return one
}

/** Both say that they are in sync with the other. */
async function agree(laptop: Actor, desktop: Actor, signal: AbortSignal): Promise<void> {
  const timeout = String(STEP_SECONDS)
  await desktop.run(['wait', '--device', laptop.name, '--timeout', timeout], { signal })
  await laptop.run(['wait', '--device', desktop.name, '--timeout', timeout], { signal })
}

async function change(actor: Actor, from: string, to: string): Promise<void> {
  const text = await readFile(file(actor), 'utf8')
  await writeFile(file(actor), text.replace(from, to))
}

function file(actor: Actor): string {
  return join(actor.folder('notes'), 'shopping.md')
}

function say(out: Output, text: string): void {
  out.text()
  out.text(out.paint.bold(text))
}

function shell(out: Output, actor: Actor, command: string, what = ''): void {
  out.text(`     ${out.paint.dim(`${actor.name}$`)} ${command}${what === '' ? '' : out.paint.dim(`   ${what}`)}`)
}
