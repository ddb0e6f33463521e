import { networkContract } from '../contract/network-contract.ts'
import { openLoopback } from './loopback.ts'

networkContract('libp2p over loopback', openLoopback)
