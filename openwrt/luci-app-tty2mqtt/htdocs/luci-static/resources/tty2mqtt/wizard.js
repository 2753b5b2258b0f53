'use strict';
'require baseclass';
'require dom';
'require ui';
'require tty2mqtt.gateway as gateway';
'require tty2mqtt.draft as draft';
'require tty2mqtt.templates as templates';

/* Milliseconds of rest before what was entered is tried. */
const REST = 400;

/* Milliseconds between two looks at a detection, and seconds that one takes at most. */
const LOOK = 1500, LISTENED = 60;

/* What a port is called until somebody says otherwise. */
const NAME = 'sensor';

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
		const ask = (method) => method().catch(() => ({}));

		return Promise.all([ ask(gateway.ports), ask(gateway.models) ]).then(([ ports, models ]) =>
			this.show(text, ports.ports || [], models.models || [], done));
	},

	show(text, ports, models, done) {
		const option = (value, label) => E('option', { 'value': value }, [ gateway.text(label) ]);
		const label = (port) => port.usb ? '%s: %s (%s:%s)'.format(port.path, port.usb.name, port.usb.vendor, port.usb.product) : port.path;

		this.text = text;
		this.ports = ports;
		this.models = models;
		this.name = E('input', { 'type': 'text', 'class': 'cbi-input-text', 'id': 'tty2mqtt-name', 'value': NAME });
		this.device = E('select', { 'class': 'cbi-input-select', 'id': 'tty2mqtt-device' },
			ports.map((port) => option(port.config, label(port))).concat([
				option('path: ', _('another device file…')), option('tcp: ', _('host and port on the network…'))
			]));
		this.address = E('input', { 'type': 'text', 'class': 'cbi-input-text', 'id': 'tty2mqtt-address' });
		this.note = E('div', { 'class': 'cbi-value-description' });
		this.kind = E('select', { 'class': 'cbi-input-select', 'id': 'tty2mqtt-kind' },
			(models.length ? [ option('', _('A device of the library')) ] : [])
				.concat(templates.kinds.map((kind) => option(kind.id, kind.name))));
		this.search = E('input', {
			'type': 'text', 'class': 'cbi-input-text', 'id': 'tty2mqtt-search', 'autocomplete': 'off',
			'placeholder': _('Words of its name, as in SDM630 or smart meter')
		});
		this.model = E('select', { 'class': 'cbi-input-select', 'id': 'tty2mqtt-model', 'size': 6, 'aria-label': _('Devices') });
		this.about = E('div', { 'class': 'cbi-value-description tty2mqtt-about' });
		this.detect = E('button', { 'class': 'btn cbi-button', 'click': () => this.listen() }, [ _('Detect') ]);
		this.heard = E('div', { 'class': 'tty2mqtt-heard', 'role': 'status' });
		this.bus = E('input', { 'type': 'text', 'inputmode': 'numeric', 'class': 'cbi-input-text', 'id': 'tty2mqtt-bus' });
		this.key = E('input', { 'type': 'text', 'class': 'cbi-input-text', 'id': 'tty2mqtt-key', 'placeholder': '/etc/tty2mqtt/meter.key' });
		this.line = E('input', { 'type': 'text', 'class': 'cbi-input-text', 'id': 'tty2mqtt-line' });
		this.sample = E('textarea', { 'class': 'cbi-input-textarea', 'id': 'tty2mqtt-sample', 'rows': 3, 'spellcheck': 'false' });
		this.preview = E('div', { 'class': 'tty2mqtt-preview', 'role': 'status' });
		this.addressField = field('tty2mqtt-address', _('Address'), this.address);
		this.modelField = field('tty2mqtt-search', _('Model'), E('div', [ this.search, this.model, this.detect, this.heard ]), '');
		this.modelField.querySelector('.cbi-value-field').appendChild(this.about);
		this.busField = field('tty2mqtt-bus', _('Address on the bus'), this.bus);
		this.keyField = field('tty2mqtt-key', _('File with the key'), this.key, _('Only if the device encrypts; 32 hexadecimal digits'));
		this.sampleField = field('tty2mqtt-sample', _('An example'), this.sample, _('Bytes that the device sends; change them to what yours does'));
		this.heading = E('h4');
		this.lineField = field('tty2mqtt-line', _('Line'), this.line, _('Baud, data bits, parity, stop bits'));
		this.insert = E('button', { 'class': 'btn cbi-button-action important', 'click': () => {
			ui.hideModal();
			done(this.whole(), this.name.value);
		} }, [ _('Insert') ]);

		this.kind.addEventListener('change', () => this.choose());
		this.device.addEventListener('change', () => this.plug());
		this.search.addEventListener('input', () => this.find());
		this.model.addEventListener('change', () => this.take());
		for (const input of [ this.name, this.address, this.line, this.sample, this.bus, this.key ])
			input.addEventListener('input', () => this.later());

		const modal = ui.showModal(_('Add a port'), [
			E('div', { 'class': 'tty2mqtt' }, [
				field('tty2mqtt-name', _('Name'), this.name, _('Stands in the topics as {port}')),
				field('tty2mqtt-device', _('Device'), this.device, this.note),
				this.addressField,
				field('tty2mqtt-kind', _('What it sends'), this.kind),
				this.modelField,
				this.busField,
				this.keyField,
				this.lineField,
				this.sampleField,
				this.heading,
				this.preview,
				E('div', { 'class': 'right' }, [
					E('button', { 'class': 'btn', 'click': ui.hideModal }, [ _('Cancel') ]), ' ', this.insert
				])
			])
		]);

		this.find();
		this.choose();
		this.plug();

		return modal;
	},

	/* The template, if no model of the library is wanted. */
	chosen() {
		return templates.kinds.find((kind) => kind.id == this.kind.value);
	},

	/* The model of the library that is marked. */
	marked() {
		return this.models.find((model) => model.model == this.model.value);
	},

	choose() {
		const kind = this.chosen();

		if (kind) {
			this.line.value = kind.line;
			this.sample.value = kind.bytes;
		}
		this.arrange();
	},

	/* Lists the models that have all words. */
	find() {
		const words = this.search.value.toLowerCase().split(/\s+/);
		const said = (model) => [ model.model, model.make, model.title, model.about ].concat(model.aliases).join('\n').toLowerCase();
		const found = this.models.filter((model) => words.every((word) => said(model).includes(word)));

		dom.content(this.model, found.map((model) =>
			E('option', { 'value': model.model }, [ gateway.text('%s %s'.format(model.make, model.title)) ])));
		/* A list box marks nothing by itself; a whole name and a single one are meant. */
		this.model.selectedIndex = found.length == 1 ? 0 : found.findIndex((model) => model.model == this.search.value.trim());
		this.take();
	},

	/* What the marked model proposes. */
	take() {
		const model = this.marked();

		if (model) {
			this.bus.value = model.factory_address ?? '';
			this.line.value = model.line ?? '9600 8N1';
			if (this.name.value == NAME || this.models.some((other) => other.model == this.name.value))
				this.name.value = model.model;
		}
		dom.content(this.about, model ? [
			E('p', [ gateway.text(model.about) ]), E('p', [ E('em', [ gateway.text(model.wiring) ]) ])
		] : []);
		this.arrange();
	},

	/* Listens to the port until it is known what speaks there. Nothing is written to it. */
	listen() {
		const port = this.ports.find((port) => port.config == this.device.value);
		const bar = E('progress', { 'max': LISTENED, 'value': 0 });
		const soFar = E('pre');
		const began = Date.now();
		const fail = (error) => this.tell([ E('p', { 'class': 'error' }, [ gateway.text(error.message) ]) ]);
		const look = (answer) => {
			if (answer.error)
				return fail({ message: answer.error });
			/* The dialogue was closed: the detection ends by itself. */
			if (!document.body.contains(this.heard))
				return;
			if (!answer.running)
				return this.tell(this.detected(answer.text));

			bar.value = (Date.now() - began) / 1000;
			dom.content(soFar, this.lines(answer.text));
			window.setTimeout(() => gateway.detected().then(look).catch(fail), LOOK);
		};

		this.detect.disabled = true;
		dom.content(this.heard, [ bar, E('p', [ gateway.text(_('Listening to %s for a minute at most…').format(port.path)) ]), soFar ]);

		return gateway.detect(port.path).then(look).catch(fail);
	},

	tell(nodes) {
		this.detect.disabled = false;
		dom.content(this.heard, nodes);
	},

	lines(text) {
		return text.split('\n').flatMap((line) => [ gateway.text(line), E('br') ]);
	},

	/* What was found, with the models in it to choose from. */
	detected(text) {
		const named = [ ...text.matchAll(/\bmodel: ([\w.-]+)/g) ].map((found) => found[1]);
		const found = this.models.filter((model) => named.includes(model.model));

		return [
			E('pre', this.lines(text)),
			E('div', { 'class': 'tty2mqtt-buttons' }, found.map((model) => E('button', {
				'class': 'btn cbi-button', 'click': () => {
					this.search.value = model.model;
					this.find();
				}
			}, [ gateway.text(_('Take %s').format(model.title)) ])))
		];
	},

	/* Shows what there is to enter. */
	arrange() {
		const kind = this.chosen(), model = this.marked();
		const show = (node, is) => { node.style.display = is ? '' : 'none' };

		show(this.modelField, !kind);
		show(this.detect, this.ports.some((port) => port.config == this.device.value));
		show(this.busField, !kind && model && model.address != 'no');
		show(this.keyField, !kind && model && model.key);
		show(this.lineField, this.device.value != 'tcp: ' && (kind || model && !model.line));
		show(this.sampleField, kind);
		dom.content(this.heading, [ kind ? _('What is published') : _('Check') ]);
		this.later();
	},

	plug() {
		const port = this.ports.find((port) => port.config == this.device.value);
		const tcp = this.device.value == 'tcp: ';

		this.addressField.style.display = port ? 'none' : '';
		this.address.placeholder = tcp ? '192.168.1.20:2000' : '/dev/ttyUSB0';
		dom.content(this.note, port?.note ? [ gateway.text(port.note) ] : []);
		this.arrange();
	},

	/* The configuration with the port in it. */
	whole() {
		const known = this.ports.some((port) => port.config == this.device.value);
		const device = known ? this.device.value : this.device.value + JSON.stringify(this.address.value || this.address.placeholder);
		const kind = this.chosen(), model = this.marked();
		const line = this.lineField.style.display == 'none' ? [] : [ 'line: ' + this.line.value ];

		return draft.insertPort(this.text, this.name.value, [ device ].concat(line, kind ? kind.body : this.ofModel(model)));
	},

	/* The keys of a model of the library. */
	ofModel(model) {
		const lines = [ 'model: ' + model.model ];

		if (model.address != 'no' && this.bus.value != '')
			lines.push('address: ' + this.bus.value);
		if (model.key && this.key.value != '')
			lines.push('decrypt: {key: {file: %s}}'.format(JSON.stringify(this.key.value)));

		return lines;
	},

	later() {
		window.clearTimeout(this.timer);
		this.insert.disabled = true;
		this.timer = window.setTimeout(() => this.look(), REST);
	},

	look() {
		const kind = this.chosen(), model = this.marked();
		const turn = this.turn = {};

		if (!kind && !model) {
			dom.content(this.preview, [ E('em', [ _('Choose a model from the list.') ]) ]);
			return Promise.resolve();
		}
		if (!kind)
			return gateway.check(this.whole()).catch((error) => ({ error: error.message })).then((answer) => {
				if (turn != this.turn)
					return;

				this.insert.disabled = !answer.ok;
				dom.content(this.preview, answer.ok ? this.right(model, answer) : this.wrong(answer));
			});

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

	/* What follows for a model, whose values come with the first answer of the device. */
	right(model, answer) {
		return [
			E('p', [ gateway.text(_('The values of %s are published below %s.').format(model.title, answer.gateway + '/' + this.name.value)) ])
		].concat(answer.warnings.map((warning) => E('p', { 'class': 'warning' }, [ gateway.text(warning) ])));
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
