// An aedes with four ways in, for one user. Arguments: the folder with aedes and ws, a folder with
// certificates, and the ports: TCP, WebSocket, TLS, TLS with a client certificate.
const { readFileSync } = require('node:fs')
const { join } = require('node:path')
const { createServer } = require('node:http')
const net = require('node:net')
const tls = require('node:tls')

const [modules, folder, ...ports] = process.argv.slice(2)
const [user, secret] = ['tester', 'secret']

async function main () {
  const { Aedes } = await import(join(modules, 'aedes', 'aedes.js'))
  const { WebSocketServer, createWebSocketStream } = require(join(modules, 'ws'))
  const broker = await Aedes.createBroker()
  broker.authenticate = (client, name, password, done) => {
    if (name === user && String(password) === secret) return done(null, true)
    done(Object.assign(new Error('wrong login'), { returnCode: 4 }), null)
  }
  const file = name => readFileSync(join(folder, name))
  const identity = { key: file('server.key'), cert: file('server.pem') }
  const theirs = { requestCert: true, rejectUnauthorized: true, ca: file('ca.pem') }
  const web = createServer()
  const sockets = new WebSocketServer({ server: web, handleProtocols: () => 'mqtt' })
  sockets.on('connection', (socket, request) => {
    broker.handle(createWebSocketStream(socket), request)
  })
  const servers = [
    net.createServer(broker.handle),
    web,
    tls.createServer(identity, broker.handle),
    tls.createServer({ ...identity, ...theirs }, broker.handle)
  ]
  const listening = servers.map((server, n) => new Promise(resolve => {
    server.on('tlsClientError', () => {})
    server.listen(Number(ports[n]), '127.0.0.1', resolve)
  }))
  await Promise.all(listening)
  console.log('ready')
}

main()
