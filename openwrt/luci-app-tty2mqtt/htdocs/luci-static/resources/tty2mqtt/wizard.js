'use strict';
'require baseclass';
'require dom';
'require ui';
'require tty2mqtt.gateway as gateway';
'require tty2mqtt.draft as draft';
'require tty2mqtt.templates as templates';

/* Milliseconds of rest before what was entered is tried. */
const REST = 400;

function field(id, title, input, description) {
	return E('div', { 'class': 'cbi-value' }, [
		E('label', { 'class': 'cbi-value-title', 'for': id }, [ title ]),
		E('div', { 'class': 'cbi-value-field' }, [
			input, description ? E('div', { 'class': 'cbi-value-description' }, [ description ]) : ''
		])
	]);
}

/* A dialogue that asks for a new port and shows what it would publish. */
return baseclass.extend({
	/* `text`: the configuration so far; `done` gets it with the new port, and the port's name. */
	open(text, done) {
		return gateway.ports().catch(() => ({})).then((answer) => this.show(text, answer.ports || [], done));
	},

	show(text, ports, done) {
		const option = (value, label) => E('option', { 'value': value }, [ gateway.text(label) ]);
		const label = (port) => port.usb ? '%s: %s (%s:%s)'.format(port.path, port.usb.name, port.usb.vendor, port.usb.product) : port.path;

		this.text = text;
		this.ports = ports;
		this.name = E('input', { 'type': 'text', 'class': 'cbi-input-text', 'id': 'tty2mqtt-name', 'value': 'sensor' });
		this.device = E('select', { 'class': 'cbi-input-select', 'id': 'tty2mqtt-device' },
			ports.map((port) => option(port.config, label(port))).concat([
				option('path: ', _('another device file…')), option('tcp: ', _('host and port on the network…'))
			]));
		this.address = E('input', { 'type': 'text', 'class': 'cbi-input-text', 'id': 'tty2mqtt-address' });
		this.note = E('div', { 'class': 'cbi-value-description' });
		this.kind = E('select', { 'class': 'cbi-input-select', 'id': 'tty2mqtt-kind' },
			templates.kinds.map((kind) => option(kind.id, kind.name)));
		this.line = E('input', { 'type': 'text', 'class': 'cbi-input-text', 'id': 'tty2mqtt-line' });
		this.sample = E('textarea', { 'class': 'cbi-input-textarea', 'id': 'tty2mqtt-sample', 'rows': 3, 'spellcheck': 'false' });
		this.preview = E('div', { 'class': 'tty2mqtt-preview', 'role': 'status' });
		this.addressField = field('tty2mqtt-address', _('Address'), this.address);
		this.lineField = field('tty2mqtt-line', _('Line'), this.line, _('Baud, data bits, parity, stop bits'));
		this.insert = E('button', { 'class': 'btn cbi-button-action important', 'click': () => {
			ui.hideModal();
			done(this.whole(), this.name.value);
		} }, [ _('Insert') ]);

		this.kind.addEventListener('change', () => this.choose());
		this.device.addEventListener('change', () => this.plug());
		for (const input of [ this.name, this.address, this.line, this.sample ])
			input.addEventListener('input', () => this.later());

		const modal = ui.showModal(_('Add a port'), [
			E('div', { 'class': 'tty2mqtt' }, [
				field('tty2mqtt-name', _('Name'), this.name, _('Stands in the topics as {port}')),
				field('tty2mqtt-device', _('Device'), this.device, this.note),
				this.addressField,
				field('tty2mqtt-kind', _('What it sends'), this.kind),
				this.lineField,
				field('tty2mqtt-sample', _('An example'), this.sample, _('Bytes that the device sends; change them to what yours does')),
				E('h4', [ _('What is published') ]),
				this.preview,
				E('div', { 'class': 'right' }, [
					E('button', { 'class': 'btn', 'click': ui.hideModal }, [ _('Cancel') ]), ' ', this.insert
				])
			])
		]);

		this.choose();
		this.plug();

		return modal;
	},

	chosen() {
		return templates.kinds.find((kind) => kind.id == this.kind.value);
	},

	choose() {
		this.line.value = this.chosen().line;
		this.sample.value = this.chosen().bytes;
		this.later();
	},

	plug() {
		const port = this.ports.find((port) => port.config == this.device.value);
		const tcp = this.device.value == 'tcp: ';

		this.addressField.style.display = port ? 'none' : '';
		this.lineField.style.display = tcp ? 'none' : '';
		this.address.placeholder = tcp ? '192.168.1.20:2000' : '/dev/ttyUSB0';
		dom.content(this.note, port?.note ? [ gateway.text(port.note) ] : []);
		this.later();
	},

	/* The configuration with the port in it. */
	whole() {
		const known = this.ports.some((port) => port.config == this.device.value);
		const device = known ? this.device.value : this.device.value + JSON.stringify(this.address.value || this.address.placeholder);
		const line = this.device.value == 'tcp: ' ? [] : [ 'line: ' + this.line.value ];

		return draft.insertPort(this.text, this.name.value, [ device ].concat(line, this.chosen().body));
	},

	later() {
		window.clearTimeout(this.timer);
		this.insert.disabled = true;
		this.timer = window.setTimeout(() => this.look(), REST);
	},

	look() {
		const kind = this.chosen();
		const turn = this.turn = {};
		/* A browser's text field has no carriage returns. */
		const bytes = kind.crlf ? this.sample.value.replace(/\r?\n/g, '\r\n') : this.sample.value;

		return gateway.preview(this.whole(), this.name.value, bytes, !!kind.hex)
			.catch((error) => ({ error: error.message }))
			.then((answer) => {
				if (turn != this.turn)
					return;

				this.insert.disabled = !answer.messages;
				dom.content(this.preview, answer.messages ? this.published(answer) : this.wrong(answer));
			});
	},

	published(answer) {
		const lost = [];

		if (answer.bad || answer.skipped)
			lost.push(_('%d bad frames, %d bytes skipped').format(answer.bad, answer.skipped));

		for (const refused of answer.refused)
			lost.push(_('%s refused: %s').format(refused.field, refused.what));

		return [
			answer.messages.length ? E('table', { 'class': 'tty2mqtt-values' }, answer.messages.map((message) => E('tr', [
				E('td', { 'class': 'topic' }, [ gateway.text(message.topic) ]),
				E('td', { 'class': 'value' }, [ gateway.text(gateway.payload(message)) ])
			]))) : E('em', [ _('Nothing: these bytes are no frame.') ])
		].concat(lost.map((what) => E('p', { 'class': 'error' }, [ gateway.text(what) ])));
	},

	wrong(answer) {
		return (answer.problems || [ { what: answer.error || _('It gave no answer.') } ]).map((problem) =>
			E('p', { 'class': 'error' }, [ gateway.text([ problem.path, problem.what, problem.remedy ].filter((part) => part).join(': ')) ]));
	}
});
