// A private local network: one namespace a node, joined by a bridge that lies in a namespace of its own, so that nothing of it touches
// this machine's network. IPv4 by hand, IPv6 as the kernel brings it, multicast routed, cables that can be pulled. Needs root and
// iproute2. All names carry this process' id; all that was made is removed, also when the process is interrupted.
import { execFileSync } from 'node:child_process'

export interface Bytes {
  readonly received: number
  readonly sent: number
}

const open = new Set<Lan>()
process.on('exit', () => {
  for (const lan of open) lan.destroy()
})

let made = 0

function ip(...args: readonly string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

export class Lan {
  readonly #index = ++made
  readonly #namespaces: string[] = []
  #bridge = ''
  #nodes = 0

  static create(): Lan {
    const lan = new Lan()
    open.add(lan)
    lan.#bridge = lan.#namespace('br')
    ip('-n', lan.#bridge, 'link', 'add', 'br0', 'type', 'bridge', 'forward_delay', '0')
    ip('-n', lan.#bridge, 'link', 'set', 'br0', 'up')
    return lan
  }

  add(name: string): LanNode {
    const number = ++this.#nodes
    const namespace = this.#namespace(name)
    const port = `kv${number}`
    ip('link', 'add', port, 'netns', this.#bridge, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace)
    ip('-n', this.#bridge, 'link', 'set', port, 'master', 'br0', 'up')
    ip('-n', namespace, 'link', 'set', 'lo', 'up')
    const address = `10.77.${this.#index % 250}.${number + 10}`
    const node = new LanNode({ name, namespace, bridge: this.#bridge, port, address })
    node.linkUp()
    return node
  }

  /** Idempotent. Whatever still runs inside keeps its namespace alive, nameless, until it ends. */
  destroy(): void {
    open.delete(this)
    for (const namespace of this.#namespaces.splice(0)) {
      try {
        ip('netns', 'del', namespace)
      } catch (error) {
        console.error(`could not remove ${namespace}: ${String(error)}`)
      }
    }
  }

  #namespace(name: string): string {
    const namespace = `kithe2e-${process.pid}-${this.#index}-${name}`
    ip('netns', 'add', namespace)
    this.#namespaces.push(namespace)
    return namespace
  }
}

/** As tc writes them. */
interface Limit {
  readonly rate: string
  readonly burst: string
  readonly latency: string
}

interface LanNodeOptions {
  readonly name: string
  readonly namespace: string
  readonly bridge: string
  readonly port: string
  readonly address: string
}

/** One machine on it. */
export class LanNode {
  readonly name: string
  readonly namespace: string
  readonly #bridge: string
  readonly #port: string
  #address: string

  constructor(options: LanNodeOptions) {
    this.name = options.name
    this.namespace = options.namespace
    this.#bridge = options.bridge
    this.#port = options.port
    this.#address = options.address
  }

  get address(): string {
    return this.#address
  }

  /** What goes before a command to run it here: it becomes that command, with the same pid. */
  get enter(): readonly string[] {
    return ['nsenter', `--net=/run/netns/${this.namespace}`, '--']
  }

  /** Pulls the cable at the switch: the interface stays up and notices nothing. */
  partition(): void {
    ip('-n', this.#bridge, 'link', 'set', this.#port, 'nomaster')
  }

  heal(): void {
    ip('-n', this.#bridge, 'link', 'set', this.#port, 'master', 'br0')
  }

  linkDown(): void {
    ip('-n', this.namespace, 'link', 'set', 'eth0', 'down')
  }

  /** The kernel drops routes with the link; what a DHCP client does when it returns is done here. */
  linkUp(): void {
    ip('-n', this.namespace, 'link', 'set', 'eth0', 'up')
    ip('-n', this.namespace, 'addr', 'replace', `${this.#address}/24`, 'dev', 'eth0')
    ip('-n', this.namespace, 'route', 'replace', '224.0.0.0/4', 'dev', 'eth0')
  }

  /** Another address in the same subnet; the old one is gone. */
  moveTo(lastPart: number): void {
    ip('-n', this.namespace, 'addr', 'del', `${this.#address}/24`, 'dev', 'eth0')
    this.#address = this.#address.replace(/\d+$/, String(lastPart))
    this.linkUp()
  }

  /** Slows what this node sends, e.g. to `2mbit`. The faster, the larger the burst has to be. */
  limit(rate: string | Limit): void {
    const limit = typeof rate === 'string' ? { rate, burst: '16k', latency: '200ms' } : rate
    const shape = ['root', 'tbf', 'rate', limit.rate, 'burst', limit.burst, 'latency', limit.latency]
    execFileSync('tc', ['-n', this.namespace, 'qdisc', 'replace', 'dev', 'eth0', ...shape])
  }

  unlimit(): void {
    execFileSync('tc', ['-n', this.namespace, 'qdisc', 'del', 'dev', 'eth0', 'root'])
  }

  /** All that went through its interface since it exists: every protocol, headers included. */
  bytes(): Bytes {
    const [link] = JSON.parse(ip('-n', this.namespace, '-s', '-j', 'link', 'show', 'eth0')) as [
      { stats64: { rx: { bytes: number }; tx: { bytes: number } } },
    ]
    return { received: link.stats64.rx.bytes, sent: link.stats64.tx.bytes }
  }
}
