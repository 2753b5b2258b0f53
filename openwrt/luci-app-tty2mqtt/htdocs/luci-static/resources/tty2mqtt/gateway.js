'use strict';
'require baseclass';
'require rpc';

/* What the gateway can be asked: the methods of `tty2mqtt rpcd`, see docs/CONTROL.md. */
function method(name, params) {
	return rpc.declare({
		object: 'luci.tty2mqtt',
		method: name,
		params: params || [],
		expect: { '': {} },
		reject: true
	});
}

/* Characters that cannot be seen, or turn the text around them. */
const steering = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

return baseclass.extend({
	status: method('status'),
	monitor: method('monitor', [ 'port', 'raw' ]),
	reconnect: method('reconnect'),
	send: method('send', [ 'port', 'command', 'payload' ]),
	ports: method('ports'),
	models: method('models'),
	detect: method('detect', [ 'port' ]),
	detected: method('detected'),
	config: method('config'),
	check: method('check', [ 'text' ]),
	preview: method('preview', [ 'text', 'port', 'bytes', 'hex' ]),
	save: method('save', [ 'text', 'revision' ]),

	/* A text from a device or the network as a text node, so that no byte of it becomes markup. */
	text(value) {
		const escape = (c) => '\\u{%s}'.format(c.codePointAt(0).toString(16));

		return document.createTextNode(String(value ?? '').replace(steering, escape));
	},

	/* The payload of a value or a message. */
	payload(message) {
		return message.payload ?? '0x' + (message.hex ?? '');
	},

	/* Seconds between two times of day of the gateway, or null. */
	seconds(from, to) {
		const parse = (time) => Date.parse(String(time).replace(' unsynchronised', ''));
		const seconds = (parse(to) - parse(from)) / 1000;

		return seconds >= 0 ? seconds : null;
	},

	/* Seconds for people, in its two largest units. */
	duration(seconds) {
		const whole = Math.round(seconds);

		if (whole < 60)
			return _('%d s').format(whole);
		if (whole < 3600)
			return _('%d min').format(whole / 60);
		if (whole < 86400)
			return _('%d h %d min').format(whole / 3600, whole % 3600 / 60);

		return _('%d d %d h').format(whole / 86400, whole % 86400 / 3600);
	},

	/* A word in the colour of what it says: good, poor, bad or off. */
	badge(kind, word) {
		return E('span', { 'class': 'tty2mqtt-badge ' + kind }, [ this.text(word) ]);
	},

	portKinds: { open: 'good', silent: 'poor', away: 'bad', stopped: 'off' },

	portBadge(port) {
		return this.badge(this.portKinds[port.state] || 'bad', port.state || _('no answer'));
	},

	/* What a device last did is said only where it is not well. */
	deviceBadge(device) {
		return device.state == 'up' ? this.badge('good', _('online'))
			: this.badge(device.online ? 'poor' : device.online == null ? 'off' : 'bad', device.state || _('no answer'));
	},

	brokerBadge(broker) {
		return this.badge(broker.connected ? 'good' : 'bad', String(broker.state || _('no answer')).replace(/ *\(.*/, ''));
	},

	/* Resolves when the app's style counts, so that nothing is shown without it. */
	style() {
		const href = L.resource('tty2mqtt/style.css');

		return new Promise((done) => {
			if (document.querySelector('link[href="%s"]'.format(href)))
				return done();

			document.head.appendChild(E('link', { 'rel': 'stylesheet', 'href': href, 'load': done, 'error': done }));
		});
	}
});
