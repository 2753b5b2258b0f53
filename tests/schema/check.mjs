// config/schema.json in the hands of two programs of others: ajv, which validates, and
// yaml-language-server, which editors ask. Argument: the folder with both.
import assert from 'node:assert'
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync, mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const modules = resolve(process.argv[2])
const root = fileURLToPath(new URL('../..', import.meta.url))
const require = createRequire(join(modules, 'x.js'))
const Ajv = require('ajv').default
const YAML = require('yaml')

const file = join(root, 'config/schema.json')
const schema = JSON.parse(readFileSync(file, 'utf8'))

// Files that are right, and those in which `check` finds a key or a kind of value that is wrong.
const right = ['config/example.yaml', 'config/demo.yaml', 'tests/decode.yaml']
const wrong = ['unknown_key', 'several_problems', 'list_for_map', 'missing_broker', 'missing_ports',
  'unknown_framing', 'two_framings', 'bad_checksum', 'bad_qos', 'two_devices', 'missing_line']
  .map((name) => `tests/config/${name}.yaml`)
// What a schema cannot say: which of several keys go together.
const beyond = ['tests/config/two_devices.yaml', 'tests/config/missing_line.yaml']

const ajv = new Ajv({ strict: true, allowUnionTypes: true, allErrors: true })
assert(ajv.validateSchema(schema), ajv.errorsText())
const validate = ajv.compile(schema)
for (const name of right) {
  const data = YAML.parse(readFileSync(join(root, name), 'utf8'), { merge: true })
  assert(validate(data), `${name}: ${ajv.errorsText(validate.errors)}`)
}
for (const name of wrong) {
  const data = YAML.parse(readFileSync(join(root, name), 'utf8'))
  assert.equal(validate(data), beyond.includes(name), `ajv: ${name}`)
}

// The language server over its standard input and output, as an editor runs it.
const server = spawn(process.execPath,
  [join(modules, 'yaml-language-server/bin/yaml-language-server'), '--stdio'],
  { stdio: ['pipe', 'pipe', 'inherit'] })
const late = setTimeout(() => {
  console.error('yaml-language-server: no answer within 60 s')
  server.kill()
  process.exit(1)
}, 60_000)
let id = 0
const send = (message) => {
  const body = JSON.stringify({ jsonrpc: '2.0', ...message })
  server.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
}
const waiting = new Map()
const settings = { yaml: { validate: true, schemaStore: { enable: false } } }
const receive = (message) => {
  if (message.method === 'textDocument/publishDiagnostics') {
    waiting.get(message.params.uri)?.(message.params.diagnostics)
  } else if (message.method === 'workspace/configuration') {
    send({ id: message.id, result: message.params.items.map(({ section }) => settings[section] ?? null) })
  } else if (message.method && message.id !== undefined) {
    send({ id: message.id, result: null })
  } else if (message.id !== undefined) {
    waiting.get(message.id)?.(message.result)
  }
}
let buffer = Buffer.alloc(0)
server.stdout.on('data', (data) => {
  buffer = Buffer.concat([buffer, data])
  for (;;) {
    const head = buffer.indexOf('\r\n\r\n')
    if (head < 0) return
    const length = Number(/Content-Length: (\d+)/.exec(buffer.subarray(0, head).toString())[1])
    if (buffer.length < head + 4 + length) return
    const body = buffer.subarray(head + 4, head + 4 + length)
    buffer = buffer.subarray(head + 4 + length)
    receive(JSON.parse(body.toString()))
  }
})
const ask = (method, params) => new Promise((done) => {
  id += 1
  waiting.set(id, done)
  send({ id, method, params })
})
await ask('initialize', {
  processId: process.pid,
  rootUri: null,
  capabilities: { workspace: { configuration: true }, textDocument: { publishDiagnostics: {} } },
})
send({ method: 'initialized', params: {} })
send({ method: 'workspace/didChangeConfiguration', params: { settings } })

// A text below the comment that docs/CONFIG.md names; the marks that an editor shows.
const folder = mkdtempSync(join(tmpdir(), 'schema-'))
writeFileSync(join(folder, 'schema.json'), JSON.stringify(schema))
const marks = (name, text) => new Promise((done) => {
  const uri = pathToFileURL(join(folder, name)).href
  waiting.set(uri, done)
  const whole = `# yaml-language-server: $schema=schema.json\n${text}`
  send({ method: 'textDocument/didOpen',
    params: { textDocument: { uri, languageId: 'yaml', version: 1, text: whole } } })
})
const shown = (list) => list.map(({ range, message }) => `${range.start.line}: ${message}`).join('\n')
for (const [n, name] of right.entries()) {
  const found = await marks(`right${n}.yaml`, readFileSync(join(root, name), 'utf8'))
  assert.equal(found.length, 0, `yaml-language-server: ${name}: ${shown(found)}`)
}
const found = await marks('wrong.yaml',
  'nonsense: 1\nbroker: {url: "mqtt://x", bogus: 2}\nports:\n  a: {path: /dev/a, line: 9600, flow: harware}\n')
for (const word of ['nonsense', 'bogus', 'hardware']) {
  assert(found.some(({ message }) => message.includes(word)), `no mark about ${word}: ${shown(found)}`)
}
assert.equal(found.length, 3, shown(found))
clearTimeout(late)
server.kill()
rmSync(folder, { recursive: true })
console.log(`schema: ${right.length} right and ${wrong.length} wrong files`)
