import { expect } from 'chai'
import { runUntilStopped, type StartRequest, StopRequest } from '../../src/daemon/runs.ts'
import { silentLog } from './support/fake-daemon.ts'

describe('daemon/runs', () => {
  let stop: StopRequest
  let starts: StartRequest[]
  let stops: number
  let clean: boolean
  /** What happens once each daemon runs. */
  let lives: ((request: StartRequest) => void)[]

  beforeEach(() => {
    stop = new StopRequest()
    starts = []
    stops = 0
    clean = true
    lives = []
  })

  function run(): Promise<boolean> {
    return runUntilStopped({
      log: silentLog,
      stop,
      start: async request => {
        if (lives.length === 0) throw new Error('one start too many')
        starts.push(request)
        const life = lives.shift()
        setImmediate(() => life?.(request))
        return {
          stop: async () => {
            stops++
            return clean
          },
        }
      },
    })
  }

  const isDamaged = ({ onDatabaseDamaged }: StartRequest): void => onDatabaseDamaged()
  const rebuilds = (): boolean[] => starts.map(({ rebuild }) => rebuild)

  it('stops when that is asked', async () => {
    lives = [() => stop.ask()]
    expect(await run()).to.equal(true)
    expect({ rebuilds: rebuilds(), stops }).to.deep.equal({ rebuilds: [false], stops: 1 })
  })

  it('builds a damaged database anew by one more start', async () => {
    lives = [isDamaged, () => stop.ask()]
    expect(await run()).to.equal(true)
    expect({ rebuilds: rebuilds(), stops }).to.deep.equal({ rebuilds: [false, true], stops: 2 })
  })

  it('does so once: what is damaged again stays as it is until somebody stops it', async () => {
    const again = (request: StartRequest): void => {
      isDamaged(request)
      // Whatever that might have caused comes before this.
      setImmediate(() => setImmediate(() => stop.ask()))
    }
    lives = [isDamaged, again]
    expect(await run()).to.equal(true)
    expect({ rebuilds: rebuilds(), stops }).to.deep.equal({ rebuilds: [false, true], stops: 2 })
  })

  it('does not start again where the damaged one did not end well, or was to stop', async () => {
    clean = false
    lives = [isDamaged]
    expect(await run()).to.equal(false)
    clean = true
    lives = [
      request => {
        isDamaged(request)
        stop.ask()
      },
    ]
    expect(await run()).to.equal(true)
    expect(rebuilds()).to.deep.equal([false, false])
  })
})
