'use strict';
'require view';
'require poll';
'require dom';
'require ui';
'require tty2mqtt.gateway as gateway';
'require tty2mqtt.graph as graph';

/* Seconds between two looks, and seconds that curves go back. */
const INTERVAL = 3, SPAN = 300;

/* Where the curves outlive a reload of the page. */
const STORE = 'tty2mqtt.status';

/* Counters that mean trouble, by their words in docs/CONTROL.md. */
function troubles(port) {
	const causes = Object.assign({}, port.bad, port.refused);

	for (const key of [ 'skipped', 'unmatched', 'unmappable', 'dropped', 'limited' ])
		causes[key] = port[key];

	for (const key of [ 'stray', 'foreign' ])
		causes[key] = port.exchange?.[key];

	for (const key of [ 'failed', 'refused' ])
		causes['commands ' + key] = port.commands?.[key];

	return Object.entries(causes).filter(([ , count ]) => count > 0);
}

/* Requests to a device that failed, and its polls that were left out. */
function failures(device) {
	return Object.entries(Object.assign({ skipped: device.skipped }, device.errors)).filter(([ , count ]) => count > 0);
}

function counts(list) {
	return list.map(([ cause, count ]) =>
		E('li', [ gateway.text(cause.replace(/_/g, ' ')), ': ', '%d'.format(count) ]));
}

function ago(seconds) {
	return seconds == null ? '–' : gateway.duration(seconds);
}

function rate(value, unit) {
	return (value == null) ? '– ' + unit : '%s %s'.format(value < 10 ? value.toFixed(1) : value.toFixed(0), unit);
}

/* What the link waits for: the brackets of its state. */
function why(broker) {
	return String(broker.state || '').replace(/^[^(]*/, '');
}

/* What a counter did since; one that began anew began at 0. */
function since(now, before) {
	return now >= before ? now - before : now;
}

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	load() {
		return gateway.style().then(() => this.ask());
	},

	/* The status, or why there is none. */
	ask() {
		return gateway.status().catch((error) => ({ error: error.message }));
	},

	render(status) {
		this.paused = false;
		this.rows = {};
		this.cards = {};
		this.forget();
		this.restore(status);

		this.throughput = graph.graph(_('Throughput'), _('a second'), [ _('frames'), _('messages sent') ], SPAN, 1);
		this.outbox = graph.graph(_('Outbox'), _('messages'), [ _('waiting') ], SPAN, 4);

		const writable = L.hasViewPermission();
		const button = (label, handler) => E('button', {
			'class': 'btn cbi-button',
			'click': ui.createHandlerFn(this, handler),
			'disabled': writable ? null : true
		}, [ label ]);

		this.pause = E('button', { 'class': 'btn cbi-button', 'click': () => this.handlePause() }, [ _('Pause') ]);
		this.absent = E('div', { 'class': 'alert-message warning' });
		this.broker = E('dl', { 'class': 'tty2mqtt-facts' });
		this.ports = E('div', { 'class': 'tty2mqtt-cards' });
		this.none = E('em', [ _('No values yet.') ]);
		this.values = E('table', { 'class': 'tty2mqtt-values' }, [
			E('thead', [ E('tr', [
				E('th', [ _('Topic') ]), E('th', [ _('Value') ]), E('th', [ _('Age') ]), E('th', [ _('Last minutes') ])
			]) ]),
			E('tbody')
		]);
		this.present = E('div', [
			E('div', { 'class': 'tty2mqtt-buttons' }, [
				this.pause,
				button(_('Reconnect'), 'handleReconnect'),
				button(_('Send a command…'), 'handleSend')
			]),
			E('div', { 'class': 'cbi-section' }, [ E('h3', [ _('Broker') ]), this.broker ]),
			E('div', { 'class': 'cbi-section' }, [ E('h3', [ _('Ports') ]), this.ports ]),
			E('div', { 'class': 'cbi-section tty2mqtt-graphs' }, [ this.throughput.node, this.outbox.node ]),
			E('div', { 'class': 'cbi-section' }, [ E('h3', [ _('Last values') ]), this.none, this.values ])
		]);

		this.update(status);
		poll.add(() => this.refresh(), INTERVAL);
		window.addEventListener('pagehide', () => this.store());

		return E('div', { 'class': 'tty2mqtt' }, [
			E('h2', [ _('Serial to MQTT') ]), this.absent, this.present
		]);
	},

	refresh() {
		return this.paused ? Promise.resolve() : this.ask().then((status) => {
			/* The button may have been pressed meanwhile. */
			if (!this.paused)
				this.update(status);
		});
	},

	update(status) {
		const runs = status.ports != null;

		this.status = status;
		this.absent.style.display = runs ? 'none' : '';
		this.present.style.display = runs ? '' : 'none';

		if (!runs) {
			dom.content(this.absent, [
				E('h4', [ _('The gateway does not run') ]),
				E('p', [ gateway.text(status.error || _('It gave no answer.')) ]),
				E('p', [ E('a', { 'href': L.url('admin/services/tty2mqtt/settings') }, [ _('Is it enabled under Service and broker?') ]),
					' · ', E('a', { 'href': L.url('admin/status/logs') }, [ _('System log') ]) ])
			]);
			return;
		}

		const at = Date.now() / 1000;
		const rates = this.sample(status, at);

		this.showBroker(status);
		this.showPorts(status, rates);
		this.showValues(status, at);
		this.throughput.draw([ this.curves.frames, this.curves.sent ], at);
		this.outbox.draw([ this.curves.outbox ], at);
	},

	/* A gateway that started anew has nothing to do with the curves of the old one. */
	forget() {
		this.curves = { frames: [], sent: [], outbox: [] };
		this.trends = {};
		this.before = null;
	},

	identity(status) {
		return '%s %s'.format(status.pid, status.program?.started);
	},

	restore(status) {
		try {
			const old = JSON.parse(window.sessionStorage.getItem(STORE));
			if (old.identity == this.identity(status) && Date.now() / 1000 - old.before.at < SPAN)
				[ this.curves, this.trends, this.before ] = [ old.curves, old.trends, old.before ];
		}
		catch (error) {
			/* Nothing is stored, or by another version. */
		}
	},

	store() {
		if (this.before)
			window.sessionStorage.setItem(STORE, JSON.stringify({
				identity: this.before.identity, curves: this.curves, trends: this.trends, before: this.before
			}));
	},

	/* Puts a status to the curves; what each port did a second since the one before. */
	sample(status, at) {
		const identity = this.identity(status);

		if (this.before && this.before.identity != identity)
			this.forget();

		const counts = {};
		for (const name in status.ports)
			counts[name] = [ status.ports[name].bytes, status.ports[name].frames ];

		const before = this.before, span = before ? at - before.at : 0;
		const rates = {};

		if (span > 0) {
			let frames = 0;
			for (const name in counts) {
				const [ bytesBefore, framesBefore ] = before.counts[name] || [ 0, 0 ];
				rates[name] = [ since(counts[name][0], bytesBefore) / span, since(counts[name][1], framesBefore) / span ];
				frames += rates[name][1] || 0;
			}
			this.curves.frames.push([ at, frames ]);
			this.curves.sent.push([ at, (since(status.broker.sent, before.sent) || 0) / span ]);
		}

		if (status.broker.outbox)
			this.curves.outbox.push([ at, status.broker.outbox.messages ]);

		for (const key in this.curves)
			this.curves[key] = this.curves[key].filter((sample) => at - sample[0] <= SPAN);

		this.before = { identity: identity, at: at, counts: counts, sent: status.broker.sent };

		return rates;
	},

	showBroker(status) {
		const broker = status.broker, outbox = broker.outbox || {};
		const facts = [
			[ _('State'), [ gateway.brokerBadge(broker), ' ', gateway.text(why(broker)), ' ',
				_('for %s').format(ago(gateway.seconds(broker.since, status.time))) ] ],
			[ _('Address'), [ gateway.text(broker.url) ] ],
			[ _('Outbox'), [ _('%d messages, %1024.1mB').format(outbox.messages || 0, outbox.bytes || 0) ] ],
			[ _('Sent'), [ _('%d, acknowledged %d').format(broker.sent || 0, broker.acknowledged || 0) ] ],
			[ _('Dropped'), [ _('%d, refused by the broker %d').format(broker.dropped || 0, broker.refused || 0) ] ]
		];

		if (broker.round_trip != null)
			facts.push([ _('Round trip'), [ _('%d ms').format(Math.round(broker.round_trip * 1000)) ] ]);

		if (broker.journal)
			facts.push([ _('Journal'), [ gateway.text(broker.journal.error || _('%d messages').format(broker.journal.messages)) ] ]);

		if (broker.error && !broker.connected && !why(broker))
			facts.push([ _('Last error'), [ gateway.text(broker.error) ] ]);

		facts.push([ _('Gateway'), [ gateway.text(status.gateway), ' · ', gateway.text(status.program?.version), ' · ',
			_('up for %s').format(ago(status.uptime)) ] ]);

		dom.content(this.broker, facts.map(([ name, value ]) => E('div', [ E('dt', [ name ]), E('dd', value) ])));
	},

	showPorts(status, rates) {
		const names = Object.keys(status.ports).sort();

		dom.content(this.ports, names.map((name) => {
			const port = status.ports[name], [ bytes, frames ] = rates[name] || [];
			const trouble = troubles(port);

			return E('div', { 'class': 'tty2mqtt-card', 'data-port': name }, [
				E('div', { 'class': 'head' }, [ E('strong', [ gateway.text(name) ]), gateway.portBadge(port) ]),
				E('p', { 'class': 'device' }, [ gateway.text(port.device || _('no device')) ]),
				E('p', [ rate(bytes, _('bytes/s')), ' · ', rate(frames, _('frames/s')) ]),
				E('p', [ port.heard_ago == null ? _('nothing heard yet') : _('last byte %s ago').format(ago(port.heard_ago)) ]),
				port.filtered > 0 ? E('p', { 'class': 'filtered' }, [ _('%d values held back by filters').format(port.filtered) ]) : '',
				E('ul', { 'class': 'troubles' }, counts(trouble)),
				E('ul', { 'class': 'devices' }, Object.keys(port.devices || {}).sort().map((of) => this.device(of, port.devices[of]))),
				(port.error && port.state != 'open') ? E('p', { 'class': 'error' }, [ gateway.text(port.error) ]) : ''
			]);
		}));
	},

	/* A device that is asked. */
	device(name, device) {
		const answered = device.answered_ago == null ? _('no answer yet') : _('answered %s ago').format(ago(device.answered_ago));
		const facts = [ answered ];

		if (device.round_trip_ms != null)
			facts.push(' · ', _('%d ms').format(device.round_trip_ms));

		return E('li', { 'data-device': name }, [
			E('div', { 'class': 'head' }, [ E('strong', [ gateway.text(name) ]), gateway.deviceBadge(device) ]),
			E('p', facts),
			E('ul', { 'class': 'troubles' }, counts(failures(device)))
		]);
	},

	/* Rows stay where they are, so that a text can be selected in them. */
	showValues(status, at) {
		const body = this.values.querySelector('tbody');
		const seen = {};

		for (const port of Object.keys(status.ports).sort()) {
			for (const value of (status.ports[port].values || []).slice().sort((a, b) => a.topic < b.topic ? -1 : 1)) {
				const key = port + ' ' + value.topic;
				const row = this.rows[key] || (this.rows[key] = this.row(value));

				seen[key] = true;
				this.fill(row, key, value, at);
				body.appendChild(row);
			}
		}

		for (const key in this.rows) {
			if (!seen[key]) {
				this.rows[key].remove();
				delete this.rows[key];
				delete this.trends[key];
			}
		}

		this.none.style.display = body.firstChild ? 'none' : '';
		this.values.style.display = body.firstChild ? '' : 'none';
	},

	row(value) {
		return E('tr', [
			E('td', { 'class': 'topic' }, [ gateway.text(value.topic) ]),
			E('td', { 'class': 'value' }),
			E('td', { 'class': 'age' }),
			E('td', { 'class': 'trend' })
		]);
	},

	fill(row, key, value, at) {
		const [ , payload, age, trend ] = row.children;
		const said = gateway.payload(value);
		const cut = value.payload != null && value.size > new Blob([ value.payload ]).size;
		const text = gateway.text(said).data + (cut ? '…' : '');
		const number = String(value.payload ?? '').trim() === '' ? NaN : Number(value.payload);
		const samples = this.trends[key] || (this.trends[key] = []);

		dom.content(payload, [ E('span', { 'title': text }, [ text ]), value.unit ? E('small', [ ' ', gateway.text(value.unit) ]) : '' ]);
		age.textContent = ago(value.ago);
		row.classList.toggle('old', value.ago > SPAN);

		if (Number.isFinite(number) && value.ago <= SPAN)
			samples.push([ at, number ]);

		this.trends[key] = samples.filter((sample) => at - sample[0] <= SPAN);
		dom.content(trend, this.trends[key].length ? [ graph.sparkline(this.trends[key], at, SPAN) ] : [ '–' ]);
	},

	handlePause() {
		this.paused = !this.paused;
		this.pause.textContent = this.paused ? _('Resume') : _('Pause');
		this.pause.classList.toggle('cbi-button-positive', this.paused);

		return this.refresh();
	},

	handleReconnect() {
		return gateway.reconnect().then((answer) => {
			if (answer.error)
				throw new Error(answer.error);
			return this.refresh();
		}).catch((error) => ui.addNotification(null, E('p', [ gateway.text(error.message) ]), 'error'));
	},

	handleSend() {
		const commands = [];

		for (const port in this.status.ports)
			for (const topic of this.status.ports[port].command_topics || [])
				commands.push([ port, topic ]);

		if (!commands.length) {
			ui.showModal(_('Send a command'), [
				E('p', [ _('No port has commands. They stand under the key “commands” of a port in the configuration.') ]),
				E('div', { 'class': 'right' }, [ E('button', { 'class': 'btn', 'click': ui.hideModal }, [ _('Close') ]) ])
			]);
			return;
		}

		const choice = E('select', { 'class': 'cbi-input-select', 'id': 'tty2mqtt-command' }, commands.map(([ port, topic ], i) =>
			E('option', { 'value': i }, [ gateway.text('%s: %s'.format(port, topic)) ])));
		const topic = E('input', { 'type': 'text', 'class': 'cbi-input-text', 'id': 'tty2mqtt-topic' });
		const payload = E('input', { 'type': 'text', 'class': 'cbi-input-text', 'id': 'tty2mqtt-payload' });
		const result = E('p', { 'class': 'tty2mqtt-result', 'role': 'status' });
		const whole = E('div', { 'class': 'cbi-value' }, [
			E('label', { 'class': 'cbi-value-title', 'for': 'tty2mqtt-topic' }, [ _('Topic') ]),
			E('div', { 'class': 'cbi-value-field' }, [ topic ])
		]);

		/* A filter with wildcards stands for many topics. */
		const choose = () => {
			topic.value = commands[choice.value][1];
			whole.style.display = /[+#]/.test(topic.value) ? '' : 'none';
		};

		const send = () => gateway.send(commands[choice.value][0], topic.value, payload.value)
			.catch((error) => ({ error: error.message }))
			.then((answer) => dom.content(result, [ answer.error
				? gateway.text(answer.error)
				: answer.result == 'done'
					? _('Done by %s').format(commands[choice.value][0])
					: _('Written: %d bytes to %s').format(answer.bytes, commands[choice.value][0]) ]));

		choice.addEventListener('change', choose);
		choose();

		ui.showModal(_('Send a command'), [
			E('div', { 'class': 'cbi-value' }, [
				E('label', { 'class': 'cbi-value-title', 'for': 'tty2mqtt-command' }, [ _('Command') ]),
				E('div', { 'class': 'cbi-value-field' }, [ choice ])
			]),
			whole,
			E('div', { 'class': 'cbi-value' }, [
				E('label', { 'class': 'cbi-value-title', 'for': 'tty2mqtt-payload' }, [ _('Payload') ]),
				E('div', { 'class': 'cbi-value-field' }, [ payload ])
			]),
			result,
			E('div', { 'class': 'right' }, [
				E('button', { 'class': 'btn', 'click': ui.hideModal }, [ _('Close') ]), ' ',
				E('button', { 'class': 'btn cbi-button-action important', 'click': ui.createHandlerFn(this, send) }, [ _('Send') ])
			])
		]);
	}
});
