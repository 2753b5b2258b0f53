'use strict';
'require view';
'require dom';
'require ui';
'require tty2mqtt.gateway as gateway';
'require tty2mqtt.draft as draft';
'require tty2mqtt.wizard as wizard';

/* Milliseconds of rest before what was typed is checked. */
const REST = 500;

/* A web server on OpenWrt takes requests of 64 KiB, and JSON makes a text longer. */
const LONGEST = 60000;

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	load() {
		return gateway.style().then(() => gateway.config()).catch((error) => ({ error: error.message }));
	},

	render(config) {
		if (config.text == null)
			return E('div', [ E('h2', [ _('Configuration') ]), E('div', { 'class': 'alert-message warning' }, [
				E('p', [ gateway.text(config.error || _('It gave no answer.')) ])
			]) ]);

		const writable = L.hasViewPermission();
		const button = (kind, label, handler) => E('button', {
			'class': 'btn cbi-button cbi-button-' + kind,
			'click': ui.createHandlerFn(this, handler)
		}, [ label ]);

		this.config = config;
		this.gutter = E('pre', { 'class': 'gutter', 'aria-hidden': 'true' });
		this.editor = E('textarea', {
			'class': 'text', 'wrap': 'off', 'spellcheck': 'false', 'autocapitalize': 'off', 'autocomplete': 'off',
			'aria-label': _('Configuration'), 'rows': 28, 'readonly': writable ? null : true,
			'input': () => this.later(),
			'scroll': () => { this.gutter.scrollTop = this.editor.scrollTop }
		});
		this.editor.value = config.text;
		this.problems = E('ul', { 'class': 'tty2mqtt-problems', 'role': 'status' });

		this.homeAssistant = E('input', {
			'type': 'checkbox', 'id': 'tty2mqtt-home-assistant',
			'change': () => {
				this.editor.value = draft.setHomeAssistant(this.editor.value, this.homeAssistant.checked);
				this.check();
			}
		});

		this.number([]);
		this.mirror();
		window.setTimeout(() => this.check(), 0);
		window.addEventListener('beforeunload', (event) => {
			if (this.editor.value != this.config.text)
				event.preventDefault();
		});

		return E('div', { 'class': 'tty2mqtt' }, [
			E('h2', [ _('Configuration') ]),
			E('p', { 'class': 'cbi-map-descr' }, [ _('Ports, devices and topics, in the file '), E('code', [ gateway.text(config.file) ]),
				_('. A file with mistakes is not saved, and what runs goes on.') ]),
			E('div', { 'class': 'tty2mqtt-buttons' }, writable ? [
				button('add', _('Add a port…'), 'handleAdd'),
				E('label', { 'for': 'tty2mqtt-home-assistant' }, [ this.homeAssistant, ' ', _('Home Assistant finds the devices by itself') ])
			] : []),
			E('div', { 'class': 'tty2mqtt-editor' }, [ this.gutter, this.editor ]),
			this.problems,
			E('div', { 'class': 'cbi-page-actions' }, writable ? [
				button('apply important', _('Save & Apply'), 'handleStore'), ' ', button('reset', _('Reset'), 'handleRevert')
			] : [])
		]);
	},

	/* The switch shows what the text says. */
	mirror() {
		const on = draft.homeAssistant(this.editor.value);

		this.homeAssistant.checked = on != false;
		this.homeAssistant.disabled = on == null;
	},

	/* Line numbers; those of `bad` lines stand out. */
	number(bad) {
		const count = this.editor.value.split('\n').length;
		const lines = [];

		for (let line = 1; line <= count; line++)
			lines.push(E('span', { 'class': bad.includes(line) ? 'bad' : null }, [ line ]));

		dom.content(this.gutter, lines);
		this.gutter.scrollTop = this.editor.scrollTop;
	},

	later() {
		window.clearTimeout(this.timer);
		this.timer = window.setTimeout(() => this.check(), REST);
	},

	check() {
		const text = this.editor.value;

		this.mirror();

		if (JSON.stringify(text).length > LONGEST)
			return Promise.resolve(this.mark({ error: _('The text is too long to be edited here; use a shell.') }));

		return gateway.check(text).catch((error) => ({ error: error.message })).then((answer) => {
			/* Typed on meanwhile: the next answer counts. */
			if (text == this.editor.value)
				this.mark(answer);
			return answer;
		});
	},

	mark(answer) {
		const problems = (answer.problems || (answer.error ? [ { what: answer.error } ] : []))
			/* A line of another file, which the service lays over this one, is none of this. */
			.map((problem) => problem.file == this.config.file ? problem : Object.assign({}, problem, { line: null }));

		this.number(problems.map((problem) => problem.line));
		dom.content(this.problems, problems.length ? problems.map((problem) => this.problem(problem)) : [
			E('li', { 'class': 'good' }, [ gateway.text(_('The file is right: ports %s').format((answer.ports || []).join(', '))) ])
		].concat((answer.warnings || []).map((warning) => E('li', { 'class': 'warning' }, [ gateway.text(warning) ]))));
	},

	problem(problem) {
		return E('li', { 'class': 'problem' }, [
			problem.line ? E('a', { 'href': '#', 'click': (event) => { event.preventDefault(); this.go(problem) } }, [
				_('Line %d').format(problem.line)
			]) : '',
			' ',
			problem.path ? E('code', [ gateway.text(problem.path) ]) : '',
			' ',
			gateway.text(problem.what),
			problem.remedy ? E('em', [ ' ', gateway.text(problem.remedy) ]) : ''
		]);
	},

	/* Puts the cursor where the mistake is. */
	go(problem) {
		const at = draft.offset(this.editor.value, problem.line) + (problem.column || 1) - 1;
		const height = this.editor.scrollHeight / this.editor.value.split('\n').length;

		this.editor.focus();
		this.editor.setSelectionRange(at, at);
		this.editor.scrollTop = Math.max(0, (problem.line - 5) * height);
	},

	handleAdd() {
		return wizard.open(this.editor.value, (text, name) => {
			this.editor.value = text;
			this.check();
			this.go({ line: text.split('\n').findIndex((row) => row.trim() == name + ':') + 1 });
		});
	},

	handleRevert() {
		this.editor.value = this.config.text;
		return this.check();
	},

	handleStore() {
		const text = this.editor.value;
		const say = (kind, what) => ui.addNotification(null, E('p', [ gateway.text(what) ]), kind);

		return gateway.save(text, this.config.revision).then((answer) => {
			if (!answer.ok) {
				this.mark(answer);
				say('error', _('Not saved: %s').format(answer.problems ? _('the file has mistakes') : answer.error));
				return;
			}

			this.config.text = text;
			this.config.revision = answer.revision;
			this.mark(answer);

			const reload = answer.reload || {};
			const changed = [].concat(reload.added || [], reload.removed || [], reload.restarted || []);

			if (reload.error)
				say('warning', _('Saved. No gateway was running: it starts now if it is enabled, or the system log says why it cannot.'));
			else if (!reload.ok)
				say('warning', _('Saved. The gateway did not take it over: %s').format(reload.text));
			else if (reload.restart_needed)
				say('warning', _('Saved. The key “control” takes effect at the next start.'));
			else
				say('info', changed.length ? _('Saved and applied to: %s').format(changed.join(', ')) : _('Saved and applied.'));
		}).catch((error) => say('error', _('Not saved: %s').format(error.message)));
	}
});
