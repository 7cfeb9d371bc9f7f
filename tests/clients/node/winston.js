// Logs the messages of standard input through winston-loki, as JSON or protobuf.
import { readFileSync } from 'node:fs'
import winston from 'winston'
import LokiTransport from 'winston-loki'

const [host, app, format] = process.argv.slice(2)
const messages = JSON.parse(readFileSync(0, 'utf8'))
const transport = new LokiTransport({
  host,
  labels: { app },
  json: format === 'json',
  interval: 1,
  replaceTimestamp: false,
  gracefulShutdown: false,
  format: winston.format.printf(({ message }) => message),
  onConnectionError: (error) => { console.error(error); process.exit(1) }
})
const logger = winston.createLogger({ transports: [transport] })
messages.forEach((message, number) => {
  logger.log({ level: number % 2 ? 'warn' : 'info', message })
})
setImmediate(async () => {
  await transport.flush()
  process.exit(0)
})
