// Logs the messages of standard input through pino-loki, in its worker thread.
import { readFileSync } from 'node:fs'
import pino from 'pino'

const [host, app] = process.argv.slice(2)
const messages = JSON.parse(readFileSync(0, 'utf8'))
const transport = pino.transport({
  target: 'pino-loki',
  options: {
    host,
    labels: { app },
    propsToLabels: ['region'],
    batching: { interval: 1 },
    logFormat: '{msg}',
    silenceErrors: false
  }
})
const logger = pino(transport)
messages.forEach((message, number) => {
  const level = number % 2 ? 'warn' : 'info'
  logger[level]({ region: 'north', meta: { number } }, message)
})
transport.end()
