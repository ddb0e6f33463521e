// What was measured, as Markdown: medians, Kith's time as a share of Syncthing's in the same run, and what was wanted.
import { cpus, release, totalmem } from 'node:os'
import type { Measured } from './session.ts'
import { LARGE_BYTES, type Target, WORKLOADS } from './workloads.ts'

const MIB = 1 << 20

export interface RunFacts {
  readonly day: string
  readonly versions: ReadonlyMap<string, string>
  readonly size: number
  readonly notes: readonly string[]
}

export function markdown(all: readonly Measured[], facts: RunFacts): string {
  const versions = [...facts.versions].map(([name, version]) => `${name} ${version}`.trim()).join(', ')
  const cores = cpus()
  const machine = `${cores.length} × ${cores[0]?.model ?? 'CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}`
  const scaled = facts.size === 1 ? '' : ` **All sizes × ${facts.size}: the figures say little.**`
  const lines = [
    '# Kith beside its peers',
    '',
    `Made by \`npm run bench\` on ${facts.day}: ${versions}; Node ${process.version}; ${machine}.${scaled}`,
    'Medians; the systems take turns in each round. Each device is a network namespace on a private bridge, receiver and sender share the',
    'machine. Syncthing has its watcher delay at its least, 1 s; rsync is one pass, one way, unencrypted, without fsync. The time is from the',
    'change to the last change in the receiving tree; then every byte is compared. Sent: all that left the source, headers included.',
    'libp2p: the channel alone, the same bytes through one stream, nothing hashed and nothing synced.',
    '',
    ...summary(all, facts.size),
    '',
    ...details(all),
  ]
  if (facts.notes.length > 0) lines.push('', ...facts.notes.map(note => `- ${note}`))
  return `${lines.join('\n')}\n`
}

/** Kith against what is wanted. */
function summary(all: readonly Measured[], size: number): string[] {
  const lines = ['| work | Kith | of Syncthing | wanted | sent | wanted | |', '|---|--:|--:|--:|--:|--:|---|']
  for (const [id, { title, target }] of Object.entries(WORKLOADS)) {
    const kith = of(all, id, 'kith')
    if (kith.length === 0) continue
    const peer = of(all, id, 'syncthing')
    const seconds = median(kith.map(m => m.seconds))
    const ratio = peer.length === 0 ? undefined : seconds / median(peer.map(m => m.seconds))
    const sent = median(kith.map(m => m.sentBytes[0] ?? 0))
    const wantedSent =
      target.sentBytes ?? (target.sentShare === undefined ? undefined : target.sentShare * LARGE_BYTES * size)
    const channel = channelRatio(all, id, seconds)
    const misses = missed(kith, target, { ratio, channel, wantedSent })
    const cells = [
      `${id} ${title}`,
      time(seconds),
      ratio === undefined || id.startsWith('W7') ? '' : ratio.toFixed(2),
      target.ratio === undefined
        ? target.seconds === undefined
          ? ''
          : `≤ ${time(target.seconds)}`
        : `≤ ${target.ratio}`,
      bytes(sent),
      wantedSent === undefined ? '' : `≤ ${bytes(wantedSent)}`,
      misses.length === 0 ? 'yes' : `no: ${misses.join(', ')}`,
    ]
    lines.push(`| ${cells.join(' | ')} |`)
  }
  return lines
}

function missed(
  kith: readonly Measured[],
  target: Target,
  {
    ratio,
    channel,
    wantedSent,
  }: {
    readonly ratio: number | undefined
    readonly channel: number | undefined
    readonly wantedSent: number | undefined
  },
): string[] {
  const misses: string[] = []
  const over = (wanted: number | undefined, is: number | undefined): boolean =>
    wanted !== undefined && is !== undefined && is > wanted
  if (over(target.ratio, ratio)) misses.push('time')
  if (over(target.channel, channel)) misses.push('channel')
  if (over(target.seconds, median(kith.map(m => m.seconds)))) misses.push('time')
  if (over(target.p95Seconds, median(kith.map(m => m.p95Seconds ?? 0)))) misses.push('p95')
  if (over(wantedSent, median(kith.map(m => m.sentBytes[0] ?? 0)))) misses.push('sent')
  if (over(target.peakBytes, median(kith.map(m => Math.max(...m.peakBytes))))) misses.push('memory')
  if (over(target.memoryBytes, median(kith.map(m => Math.max(0, ...(m.memoryBytes ?? [])))))) misses.push('memory')
  if (over(target.deviceCpuSeconds, median(kith.map(m => m.cpuSeconds / m.sentBytes.length)))) misses.push('CPU')
  if (over(target.offlineEditSeconds, median(kith.map(m => m.offlineEditSeconds ?? 0)))) misses.push('offline edit')
  return misses
}

function details(all: readonly Measured[]): string[] {
  const lines = [
    '| work | system | runs | time | least–most | CPU, all devices | peak memory, source / others | sent, source / others | other load | |',
    '|---|---|--:|--:|--:|--:|--:|--:|--:|---|',
  ]
  for (const id of Object.keys(WORKLOADS)) {
    for (const system of new Set(all.map(m => m.system))) {
      const runs = of(all, id, system)
      if (runs.length === 0) continue
      const seconds = runs.map(m => m.seconds)
      const others = (values: readonly number[]): number => values.slice(1).reduce((sum, value) => sum + value, 0)
      const cells = [
        id,
        system,
        `${runs.length}`,
        time(median(seconds)),
        `${time(Math.min(...seconds))}–${time(Math.max(...seconds))}`,
        time(median(runs.map(m => m.cpuSeconds))),
        `${bytes(median(runs.map(m => m.peakBytes[0] ?? 0)))} / ${bytes(median(runs.map(m => Math.max(0, ...m.peakBytes.slice(1)))))}`,
        `${bytes(median(runs.map(m => m.sentBytes[0] ?? 0)))} / ${bytes(median(runs.map(m => others(m.sentBytes))))}`,
        median(runs.map(m => m.otherCores)).toFixed(1),
        [...remarks(runs), ...(system === 'kith' ? besideChannel(channelRatio(all, id, median(seconds))) : [])].join(
          '; ',
        ),
      ]
      lines.push(`| ${cells.join(' | ')} |`)
    }
  }
  return lines
}

function remarks(runs: readonly Measured[]): string[] {
  const found: string[] = []
  const p95 = defined(runs.map(m => m.p95Seconds))
  if (p95.length > 0) found.push(`p95 ${time(median(p95))}`)
  const memory = defined(runs.map(m => m.memoryBytes?.map(bytes).join(' / ')))
  if (memory[0] !== undefined) found.push(`at the end ${memory[0]}`)
  const offline = defined(runs.map(m => m.offlineEditSeconds))
  if (offline.length > 0) found.push(`offline edit after ${time(median(offline))}`)
  const meta = Math.max(...runs.map(m => m.metaDiffers ?? 0))
  if (meta > 0) found.push(`mode or mtime differs ${meta} times`)
  return found
}

function besideChannel(ratio: number | undefined): string[] {
  return ratio === undefined ? [] : [`${ratio.toFixed(2)} of the channel alone`]
}

/** Kith's time as a share of what libp2p and noise alone took in the same run. */
function channelRatio(all: readonly Measured[], id: string, seconds: number): number | undefined {
  const alone = of(all, id, 'libp2p')
  return alone.length === 0 ? undefined : seconds / median(alone.map(m => m.seconds))
}

function of(all: readonly Measured[], workload: string, system: string): Measured[] {
  return all.filter(m => m.workload === workload && m.system === system)
}

function defined<T>(values: readonly (T | undefined)[]): T[] {
  return values.filter((value): value is T => value !== undefined)
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const low = sorted[(sorted.length - 1) >> 1]
  const high = sorted[sorted.length >> 1]
  return low === undefined || high === undefined ? Number.NaN : (low + high) / 2
}

export function time(seconds: number): string {
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`
}

export function bytes(count: number): string {
  if (count < 1e3) return `${Math.round(count)} B`
  if (count < 1e6) return `${(count / 1e3).toFixed(count < 1e4 ? 1 : 0)} kB`
  return count < 1024 * MIB ? `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)} MB` : `${(count / 1e9).toFixed(2)} GB`
}
