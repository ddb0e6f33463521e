// One device as a process of its own, for tests in network namespaces: prints each event as a line of JSON, takes commands on stdin
// (`offer`, `join CODE`), ends with its stdin.
import { createInterface } from 'node:readline'
import type { KithEvent } from '../../src/core/events.ts'
import { loadIdentity } from '../../src/p2p/identity.ts'
import { createNetwork } from '../../src/p2p/network.ts'
import { loud, realClock, silent, waiting } from './network-fixture.ts'

const [home = '', name = ''] = process.argv.slice(2)
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)
const log = process.env['KITH_TEST_LOG'] === undefined ? silent : loud

const identity = await loadIdentity(home)
const emit = (event: KithEvent): void => say(event)
const network = createNetwork(
  { identity, clock: realClock, log, emit },
  { home, name, version: '0.0.0', port: 0, discovery: true },
)
await network.start()
say({ type: 'ready', device: network.device, addresses: network.addresses() })

for await (const line of createInterface({ input: process.stdin })) {
  const [command, argument = ''] = line.split(' ')
  if (command === 'offer') {
    const offer = await network.offerPairing(waiting(60_000))
    say({ type: 'code', code: offer.code })
    offer.paired.then(
      paired => say({ type: 'paired', ...paired }),
      (error: unknown) => say({ type: 'failed', message: String(error) }),
    )
  } else if (command === 'join') {
    network.join(argument, waiting(60_000)).then(
      paired => say({ type: 'joined', ...paired }),
      (error: unknown) => say({ type: 'failed', message: String(error) }),
    )
  }
}
await network.stop()
