'use strict';
'require view';
'require dom';
'require ui';
'require tty2mqtt.gateway as gateway';

/* Events on the page, the newest first. */
const SHOWN = 200;

/* A look takes two seconds. The next one begins in the middle of it, so that nothing happens between
 * two of them; what both have seen is shown once. */
const NEXT = 1000;

/* Milliseconds before a look that failed is tried again. */
const AGAIN = 3000;

/* How many of the last events of a look are the first ones of the next. */
function common(before, events) {
	let n = Math.min(before.length, events.length);

	while (n > 0 && !before.slice(-n).every((event, i) => event == events[i]))
		n--;

	return n;
}

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	load() {
		return gateway.style().then(() => gateway.status()).catch((error) => ({ error: error.message }));
	},

	render(status) {
		const names = Object.keys(status.ports || {}).sort();

		this.running = true;
		this.state = null;
		this.seen = [];
		this.turn = 0;
		this.port = E('select', { 'class': 'cbi-input-select', 'id': 'tty2mqtt-port', 'change': () => { this.clear(); this.change() } },
			names.map((name) => E('option', { 'value': name }, [ gateway.text(name) ])));
		this.raw = E('input', { 'type': 'checkbox', 'id': 'tty2mqtt-raw', 'change': () => this.change() });
		this.hex = E('input', { 'type': 'checkbox', 'id': 'tty2mqtt-hex', 'change': () => this.spell() });
		this.pause = E('button', { 'class': 'btn cbi-button', 'click': () => this.handlePause() }, [ _('Pause') ]);
		this.note = E('p', { 'class': 'tty2mqtt-result', 'role': 'status' });
		this.list = E('ol', { 'class': 'tty2mqtt-events' });

		const wanted = new URLSearchParams(window.location.search).get('port');
		if (names.includes(wanted))
			this.port.value = wanted;

		if (names.length)
			window.setTimeout(() => this.look(), 0);
		else
			dom.content(this.note, [ gateway.text(status.error || _('The gateway has no ports.')) ]);

		return E('div', { 'class': 'tty2mqtt' }, [
			E('h2', [ _('Monitor') ]),
			E('p', { 'class': 'cbi-map-descr' }, [
				_('What happens on a port right now, the newest first.')
			]),
			E('div', { 'class': 'tty2mqtt-buttons' }, [
				E('label', { 'for': 'tty2mqtt-port' }, [ _('Port') ]), this.port,
				E('label', [ this.raw, ' ', _('bytes as they are read') ]),
				E('label', [ this.hex, ' ', _('hexadecimal') ]),
				this.pause,
				E('button', { 'class': 'btn cbi-button', 'click': () => this.clear() }, [ _('Clear') ])
			]),
			this.note,
			this.list
		]);
	},

	/* Looks until the page is left. */
	look() {
		const turn = this.turn, again = (wait) => window.setTimeout(() => turn == this.turn && this.look(), wait);

		if (!this.list.isConnected && this.looked)
			return;

		this.looked = true;

		if (!this.running || document.hidden) {
			this.seen = [];
			again(NEXT / 4);
			return;
		}

		const answer = gateway.monitor(this.port.value, this.raw.checked).catch((error) => ({ error: error.message }));
		const next = new Promise((done) => window.setTimeout(done, NEXT));

		/* In the order in which they began. */
		this.last = Promise.all([ answer, this.last ]).then(([ answer ]) => {
			if (turn != this.turn)
				return;

			dom.content(this.note, answer.error ? [ gateway.text(answer.error) ] : []);

			if (this.running)
				this.add(answer.events || []);
		});

		/* A look that fails does so at once. */
		Promise.race([ answer, next ]).then((failed) => again(failed?.error ? AGAIN : failed ? NEXT : 0));
	},

	/* What a look has seen; its first event is the state as it was then. */
	add([ state, ...events ]) {
		const texts = events.map((event) => JSON.stringify(event));
		const n = common(this.seen, texts);

		if (state)
			this.show(state);

		events.slice(n).forEach((event) => this.show(event));
		this.seen = texts;
	},

	show(event) {
		/* Each look begins with it. */
		if (event.event == 'state') {
			const state = JSON.stringify([ event.state, event.error ]);
			if (state == this.state)
				return;
			this.state = state;
		}

		const item = E('li', { 'class': event.event }, [
			E('time', [ gateway.text(String(event.time || '').replace(/^.*T|Z.*$/g, '')) ]), ' ',
			this.head(event)
		]);

		for (const message of event.messages || [])
			item.appendChild(E('div', { 'class': 'message' }, [
				E('span', { 'class': 'topic' }, [ gateway.text(message.topic) ]), ' ', gateway.text(gateway.payload(message))
			]));

		for (const refused of event.refused || [])
			item.appendChild(E('div', { 'class': 'error' }, [ gateway.text(_('%s refused: %s').format(refused.field, refused.what)) ]));

		if (event.event == 'frame' && event.matched === false)
			item.appendChild(E('div', { 'class': 'error' }, [ _('no entry of “frames” wants it') ]));

		if (event.missed)
			item.appendChild(E('div', { 'class': 'error' }, [ _('%d events before this one were missed').format(event.missed) ]));

		this.list.insertBefore(item, this.list.firstChild);

		while (this.list.children.length > SHOWN)
			this.list.lastChild.remove();
	},

	head(event) {
		const words = {
			read: _('bytes read: %d'), write: _('bytes written: %d'), frame: _('frame of %d bytes'), command: _('command, %d bytes'),
			refused: _('command refused'), failed: _('command failed'), state: _('port is %s').format(event.state), end: _('end')
		};
		const said = [ E('strong', [ gateway.text((words[event.event] || event.event).format(event.size)) ]) ];

		if (event.topic)
			said.push(' ', E('span', { 'class': 'topic' }, [ gateway.text(event.topic) ]));

		if (event.reason || (event.error && event.state != 'open'))
			said.push(' ', E('span', { 'class': 'error' }, [ gateway.text(event.reason || event.error) ]));

		if (event.hex != null)
			said.push(E('code', { 'data-text': event.text, 'data-hex': event.hex.replace(/(..)(?=.)/g, '$1 ') }, [
				gateway.text(this.hex.checked ? event.hex.replace(/(..)(?=.)/g, '$1 ') : event.text)
			]));

		return E('span', said);
	},

	/* Bytes as text, or in hexadecimal digits. */
	spell() {
		this.list.querySelectorAll('code').forEach((code) =>
			dom.content(code, [ gateway.text(code.getAttribute(this.hex.checked ? 'data-hex' : 'data-text')) ]));
	},

	clear() {
		this.state = null;
		dom.content(this.list, []);
	},

	/* Another port, or other events of it: what is under way is of no use any more. */
	change() {
		this.turn++;
		this.seen = [];
		this.look();
	},

	handlePause() {
		this.running = !this.running;
		this.pause.textContent = this.running ? _('Pause') : _('Resume');
		this.pause.classList.toggle('cbi-button-positive', !this.running);
	}
});
