// Runs the test file of the npm package mqtt-packet with its test framework, its parser and its
// generator replaced by recorders, and prints every vector as a line of JSON.
//
//   node mqtt-packet.js target/foreign/mqtt-packet/package/test.js > target/foreign/mqtt-packet.jsonl
//
// {name, kind: "parse", version, chunks: [{bytes, left, packets, errors}], packet, error}
// {name, kind: "generate", version, packet, bytes, error}
// {name, kind: "mirror", version, source, packet} for what is generated and parsed again.
// {name, kind: "none"} for a test that holds no vector.
//
// Bytes are {hex, zeros}: what `hex` says and then so many zeros.
'use strict'

const Module = require('module')
const path = require('path')

const file = path.resolve(process.argv[2])
const names = new Map()

function bytes (buffer) {
  let end = buffer.length
  if (end > 100000) while (end > 0 && buffer[end - 1] === 0) end--
  return { hex: buffer.subarray(0, end).toString('hex'), zeros: buffer.length - end }
}

// Every value as JSON has it, buffers as {"$bytes": …}.
function plain (value) {
  if (Buffer.isBuffer(value)) return { $bytes: bytes(value) }
  if (Array.isArray(value)) return value.map(plain)
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]))
  }
  return value
}

function print (line) {
  process.stdout.write(JSON.stringify(line) + '\n')
}

// Stands for what their code would return; assertions tell what it should have been.
class Mark {
  constructor (what, vector, key) {
    Object.assign(this, { what, vector, key })
  }
}

// A packet of which every field is a mark.
function probe (vector, key) {
  return new Proxy(new Mark('field', vector, key), {
    get (target, name) {
      return name in target || typeof name === 'symbol' ? target[name] : probe(vector, name)
    },
    ownKeys: () => [],
    deleteProperty: () => true
  })
}

class Run {
  constructor (fail) {
    this.failing = fail
    this.vectors = []
    this.generated = []
  }

  settle (actual, expected) {
    const mark = [actual, expected].find(side => side instanceof Mark)
    if (mark) {
      const value = mark === actual ? expected : actual
      if (mark.what === 'left') mark.vector.left = value
      else if (mark.what === 'error') mark.vector.error = value
      else if (mark.key === undefined) mark.vector.packet = plain(value)
      else mark.vector.packet = { ...mark.vector.packet, [mark.key]: plain(value) }
      return
    }
    for (const { vector, token } of this.generated) {
      if (actual === token.toString('hex')) {
        vector.bytes = bytes(Buffer.from(expected, 'hex'))
      } else if (Buffer.isBuffer(actual) && actual.equals(token)) {
        vector.bytes = bytes(expected)
      }
    }
  }

  tape () {
    const settle = (actual, expected) => this.settle(actual, expected)
    return {
      plan () {},
      end () {},
      comment () {},
      pass () {},
      true () {},
      false () {},
      // Single fields of a packet tell too little.
      equal: (actual, expected) => {
        if (!(actual instanceof Mark && actual.what === 'field')) settle(actual, expected)
      },
      deepEqual: settle,
      deepLooseEqual: settle,
      fail () {},
      ok: value => { this.okay = value }
    }
  }

  parser (opts) {
    const vector = { kind: 'parse', version: version(opts), chunks: [], packet: null, error: null }
    const handlers = { packet: [], error: [] }
    const run = this
    const fire = (event, argument) => {
      let times = 0
      do {
        run.okay = undefined
        for (const handler of handlers[event]) handler(argument)
        if (run.okay !== false) times++
      } while (run.okay && times < 10)
      return run.okay === undefined ? undefined : times
    }
    return {
      on (event, handler) { handlers[event].push(handler) },
      parse (buffer) {
        const generated = run.generated.find(({ token }) => token.equals(buffer))
        const chunk = {}
        if (generated) {
          Object.assign(vector, { kind: 'mirror', source: generated.vector.packet })
        } else {
          chunk.bytes = bytes(buffer)
        }
        if (vector.chunks.length === 0) run.vectors.push(vector)
        vector.chunks.push(chunk)
        chunk.packets = fire('packet', probe(vector))
        chunk.errors = fire('error', { message: new Mark('error', vector) })
        return new Mark('left', chunk)
      }
    }
  }

  generate (packet, opts) {
    const vector = { kind: 'generate', version: version(opts, packet), packet: plain(packet) }
    Object.assign(vector, { bytes: null, error: null })
    this.vectors.push(vector)
    if (this.failing) throw Object.assign(new Error(), { message: new Mark('error', vector) })
    const token = Buffer.from(`generated ${this.generated.length}`)
    token.equals = other => {
      if (other.length > 100) vector.bytes = bytes(other)
      return Buffer.prototype.equals.call(token, other) || other.length > 100
    }
    this.generated.push({ vector, token })
    return token
  }

  writeToStream (packet, stream) {
    if (typeof stream.write === 'function') {
      try { stream.write(this.generate(packet)) } catch { }
    }
    return true
  }
}

function version (opts, packet) {
  const number = (opts && opts.protocolVersion) || (packet && packet.protocolVersion) || 4
  return { 3: '3.1', 4: '3.1.1', 5: '5.0' }[number] || String(number)
}

let run
const mqtt = {
  parser: opts => run.parser(opts),
  generate: (packet, opts) => run.generate(packet, opts),
  writeToStream: (packet, stream, opts) => run.writeToStream(packet, stream, opts)
}

function test (title, body) {
  const whole = vector =>
    vector.kind === 'parse' || vector.packet && vector.kind === 'mirror' || vector.bytes || vector.error
  run = new Run(false)
  body(run.tape())
  let vectors = run.vectors.filter(whole)
  if (vectors.length === 0) {
    // Perhaps it must not be generated at all.
    run = new Run(true)
    try { body(run.tape()) } catch { }
    vectors = run.vectors.filter(whole)
  }
  if (vectors.length === 0) vectors = [{ kind: 'none' }]
  for (const vector of vectors) {
    const times = (names.get(title) || 0) + 1
    names.set(title, times)
    print({ name: times === 1 ? title : `${title} #${times}`, ...vector })
  }
}

const stubs = {
  tape: test,
  './': mqtt,
  'readable-stream': { Writable: () => ({ on () {}, end () {}, write: () => true }) }
}
const load = Module._load
Module._load = function (request, ...rest) {
  return Object.hasOwn(stubs, request) ? stubs[request] : load.call(this, request, ...rest)
}
require(file)
