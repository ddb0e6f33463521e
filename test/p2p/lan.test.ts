// Discovery and links on a real local network: two namespaces joined by a bridge, one process each. Needs root and iproute2.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { Lan, type LanNode } from '../e2e/support/lan.ts'
import { until } from './network-fixture.ts'

const PROGRAM = fileURLToPath(new URL('./lan-device.ts', import.meta.url))
/** After both can be reached again. */
const LINK_MS = 10_000

interface Line {
  readonly type: string
  readonly at: number
  readonly [field: string]: unknown
}

class Process {
  readonly lines: Line[] = []
  readonly #child: ChildProcess
  readonly #exit: Promise<void>

  constructor(node: LanNode, home: string, name: string) {
    const [command = '', ...rest] = [...node.enter, process.execPath, '--import', 'tsx', PROGRAM, home, name]
    this.#child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#exit = new Promise(resolve => this.#child.once('exit', () => resolve()))
    const output = this.#child.stdout
    if (output === null) throw new Error('no stdout')
    createInterface({ input: output }).on('line', line => {
      this.lines.push({ at: performance.now(), ...(JSON.parse(line) as { type: string }) })
    })
  }

  tell(command: string): void {
    this.#child.stdin?.write(`${command}\n`)
  }

  async next(type: string, from = 0, deadlineMs = 20_000): Promise<Line> {
    const find = (): Line | undefined => this.lines.slice(from).find(line => line.type === type)
    await until(`a line of type ${type}`, () => find() !== undefined, deadlineMs)
    return find() as Line
  }

  async end(): Promise<void> {
    this.#child.stdin?.end()
    await this.#exit
  }
}

function reasonToSkip(): string | null {
  if (process.platform !== 'linux') return 'network namespaces are Linux only'
  try {
    execFileSync('ip', ['netns', 'add', `kith-try-${process.pid}`], { stdio: 'pipe' })
    execFileSync('ip', ['netns', 'del', `kith-try-${process.pid}`], { stdio: 'pipe' })
    return null
  } catch (error) {
    return `network namespaces cannot be made here (root and iproute2 are needed): ${String(error).split('\n')[0]}`
  }
}

describe('network on a local network', function () {
  this.timeout(90_000)
  let lan: Lan
  let nodes: readonly [LanNode, LanNode]
  const homes: string[] = []
  const processes: Process[] = []

  before(async function () {
    const reason = reasonToSkip()
    if (reason !== null) {
      console.log(`SKIP ${reason}`)
      this.skip()
    }
    lan = Lan.create()
    nodes = [lan.add('laptop'), lan.add('desktop')]
    for (const _ of nodes) homes.push(await mkdtemp(join(tmpdir(), 'kith-lan-')))
  })

  after(async () => {
    await Promise.all(processes.map(one => one.end()))
    if (homes.length > 0) lan.destroy()
    await Promise.all(homes.map(home => rm(home, { recursive: true, force: true })))
  })

  it('finds, pairs, and links again after the interface and the addresses changed', async () => {
    const laptop = new Process(nodes[0], homes[0] ?? '', 'laptop')
    const desktop = new Process(nodes[1], homes[1] ?? '', 'desktop')
    processes.push(laptop, desktop)
    await Promise.all([laptop.next('ready'), desktop.next('ready')])

    laptop.tell('offer')
    const { code } = await laptop.next('code')
    desktop.tell(`join ${String(code)}`)
    expect(await desktop.next('joined')).to.include({ name: 'laptop' })
    expect(await laptop.next('paired')).to.include({ name: 'desktop' })
    await Promise.all([laptop.next('device:linked'), desktop.next('device:linked')])

    const relinked = async (what: string, change: () => void): Promise<void> => {
      const from = [laptop.lines.length, desktop.lines.length] as const
      const start = performance.now()
      change()
      const lines = await Promise.all([
        laptop.next('device:linked', from[0], 2 * LINK_MS),
        desktop.next('device:linked', from[1], 2 * LINK_MS),
      ])
      const took = Math.max(...lines.map(line => line.at)) - start
      console.log(`      ${what}: linked again after ${(took / 1000).toFixed(1)} s`)
      // Mostly 3 to 4 s. Where only the other side can know that its link is dead, that takes it 15 s without a byte.
      expect(took).to.be.below(2 * LINK_MS)
    }
    const [one, other] = nodes
    await relinked('a new address', () => one.moveTo(90))
    await relinked('the interface down and up with a new address', () => {
      other.linkDown()
      other.moveTo(91)
    })
  })
})
