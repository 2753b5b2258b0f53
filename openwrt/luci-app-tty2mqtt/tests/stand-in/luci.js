/*
 * A stand-in for as much of LuCI's loader and libraries as the app uses, for its tests. It does what
 * LuCI does where that can go wrong: a text that is not in an array becomes markup, `null` in an array
 * becomes the word, attributes that are functions become listeners, a reply of another type is replaced.
 */
(function() {
	'use strict';

	window._ = (text) => text;

	/* The directives that the app uses. */
	String.prototype.format = function(...values) {
		return this.replace(/%(\d*)(?:\.(\d+))?([sdm%])/g, (all, width, precision, type) => {
			if (type == '%')
				return '%';

			const value = values.shift();

			if (type == 's')
				return String(value);
			if (type == 'd')
				return String(parseInt(value) || 0);

			const units = [ ' ', ' Ki', ' Mi', ' Gi' ], base = +width || 1000;
			let number = +value || 0, unit = 0;
			while (unit < units.length - 1 && number > base) {
				number /= base;
				unit++;
			}

			return (unit ? number.toFixed(+precision) : number) + units[unit];
		});
	};

	class Base {
		static extend(properties) {
			class Extended extends this {}

			for (const key in properties)
				Object.defineProperty(Extended.prototype, key, { value: properties[key], writable: true });

			return Extended;
		}
	}

	const dom = {
		elem: (node) => node != null && typeof(node) == 'object' && 'nodeType' in node,

		append(node, children) {
			if (Array.isArray(children)) {
				for (const child of children)
					node.appendChild(dom.elem(child) ? child : document.createTextNode(String(child)));
			}
			else if (dom.elem(children)) {
				node.appendChild(children);
			}
			else if (children != null) {
				node.innerHTML = String(children);
			}

			return node.lastChild;
		},

		content(node, children) {
			while (node.firstChild)
				node.removeChild(node.firstChild);

			return dom.append(node, children);
		},

		create(tag, attributes, children) {
			if (!(attributes instanceof Object) || Array.isArray(attributes))
				[ attributes, children ] = [ null, attributes ];

			const node = document.createElement(tag);

			for (const key in attributes) {
				const value = attributes[key];
				if (value == null)
					continue;
				else if (typeof(value) == 'function')
					node.addEventListener(key, value);
				else
					node.setAttribute(key, typeof(value) == 'object' ? JSON.stringify(value) : value);
			}

			dom.append(node, children);

			return node;
		}
	};

	window.E = dom.create;

	let requests = 0;
	async function ubus(object, method, params) {
		const response = await fetch(L.env.ubuspath, {
			method: 'POST',
			body: JSON.stringify({ jsonrpc: '2.0', id: ++requests, method: 'call', params: [ L.env.sessionid, object, method, params ] })
		});
		const message = await response.json();

		if (message.error)
			throw new Error('RPC call to %s/%s failed with error %d: %s'.format(object, method, message.error.code, message.error.message));

		return message.result;
	}

	const rpc = {
		declare: (options) => async (...values) => {
			const params = {};
			(options.params || []).forEach((name, i) => { params[name] = values[i] });

			const [ code, reply ] = await ubus(options.object, options.method, params);

			if (options.reject && code !== 0)
				throw new Error('RPC call to %s/%s failed with ubus code %d'.format(options.object, options.method, code));

			let answer = reply ?? code;
			for (const key in options.expect) {
				const type = (value) => Object.prototype.toString.call(value);
				if (key != '')
					answer = answer[key];
				if (answer == null || type(answer) != type(options.expect[key]))
					answer = options.expect[key];
			}

			return answer;
		}
	};

	const poll = {
		queue: [],
		add(look, interval) {
			const entry = { look, interval, ready: true };
			poll.queue.push(entry);
			entry.timer = window.setInterval(() => {
				if (!entry.ready)
					return;
				entry.ready = false;
				Promise.resolve(look()).finally(() => { entry.ready = true });
			}, interval * 1000);
		}
	};

	const ui = {
		createHandlerFn(context, handler, ...values) {
			const run = typeof(handler) == 'string' ? context[handler] : handler;

			return (event) => {
				const button = event.currentTarget;
				button.classList.add('spinning');
				button.disabled = true;

				return Promise.resolve(run.apply(context, values.concat(event))).finally(() => {
					button.classList.remove('spinning');
					button.disabled = false;
				});
			};
		},

		showModal(title, children) {
			const box = document.querySelector('#modal_overlay .modal');
			dom.content(box, dom.create('h4', {}, title));
			dom.append(box, children);
			document.body.classList.add('modal-overlay-active');

			return box;
		},

		hideModal() {
			document.body.classList.remove('modal-overlay-active');
			dom.content(document.querySelector('#modal_overlay .modal'), []);
		},

		addNotification(title, children, ...classes) {
			const note = E('div', { 'class': [ 'alert-message' ].concat(classes).join(' ') });
			if (title != null)
				dom.append(note, E('h4', {}, title));
			dom.append(note, children);
			const main = document.querySelector('#maincontent');
			main.insertBefore(note, main.firstChild);

			return note;
		}
	};

	class View extends Base {
		load() {}

		async start() {
			const place = document.querySelector('#view');
			dom.content(place, await this.render(await this.load()));
			if (this.handleSaveApply)
				dom.append(place, E('div', { 'class': 'cbi-page-actions' }, [
					E('button', { 'class': 'btn cbi-button cbi-button-apply important', 'click': ui.createHandlerFn(this, 'handleSaveApply') }, [ 'Save & Apply' ])
				]));
			place.dataset.ready = 'true';
		}

		async handleSaveApply() {
			for (const map of form.maps) {
				if (!await map.save())
					return;
			}
			await ubus('uci', 'apply', {});
		}
	}

	/* Options of one section of UCI, on tabs. */
	const form = {
		maps: [],
		Flag: 'flag', Value: 'value', DynamicList: 'list', NamedSection: 'named',

		Map: class {
			constructor(config, title, description) {
				Object.assign(this, { config, title, description, sections: [] });
				form.maps.push(this);
			}

			section(kind, name) {
				const map = this, tabs = [];
				const section = {
					name, tabs,
					tab: (name, title, description) => tabs.push({ name, title, description, options: [] }),
					taboption(tab, kind, name, title, description) {
						const option = { kind, name, title, description, choices: [], value: (value) => option.choices.push(value) };
						tabs.find((each) => each.name == tab).options.push(option);
						return option;
					}
				};
				map.sections.push(section);
				return section;
			}

			async render() {
				const [ code, reply ] = await ubus('uci', 'get', { config: this.config });
				if (code)
					throw new Error('uci get: %d'.format(code));
				this.values = reply.values;

				return E('div', { 'class': 'cbi-map' }, [ E('h2', [ this.title ]), E('div', { 'class': 'cbi-map-descr' }, [ this.description ]) ].concat(
					this.sections.flatMap((section) => section.tabs.map((tab) => E('div', { 'class': 'cbi-section' }, [
						E('h3', [ tab.title ]), E('div', { 'class': 'cbi-section-descr' }, [ tab.description || '' ])
					].concat(tab.options.map((option) => this.field(section, option))))))));
			}

			field(section, option) {
				const value = [].concat(this.values[section.name][option.name] ?? option.default ?? '').join(' ');
				const id = 'cbid.%s.%s.%s'.format(this.config, section.name, option.name);
				option.input = E('input', {
					'id': id, 'class': 'cbi-input-text', 'placeholder': option.placeholder,
					'type': option.kind == 'flag' ? 'checkbox' : option.password ? 'password' : 'text'
				});
				if (option.kind == 'flag')
					option.input.checked = value == '1';
				else
					option.input.value = value;

				return E('div', { 'class': 'cbi-value' }, [
					E('label', { 'class': 'cbi-value-title', 'for': id }, [ option.title ]),
					E('div', { 'class': 'cbi-value-field' }, [ option.input, E('div', { 'class': 'cbi-value-description' }, [ option.description || '' ]) ])
				]);
			}

			async save() {
				for (const section of this.sections) {
					const values = {};
					for (const option of section.tabs.flatMap((tab) => tab.options)) {
						const value = option.kind == 'flag' ? (option.input.checked ? '1' : '0') : option.input.value;
						const right = option.validate ? option.validate(section.name, value) : true;
						if (right !== true) {
							ui.addNotification(null, E('p', [ right ]), 'error');
							return false;
						}
						values[option.name] = option.kind == 'list' ? value.split(' ').filter((word) => word) : value;
					}
					await ubus('uci', 'set', { config: this.config, section: section.name, values });
				}

				return true;
			}
		}
	};

	const modules = { baseclass: Base, view: View, dom, rpc, poll, ui, form };
	const loaded = {};

	window.L = {
		env: window.luciEnvironment,
		url: (path) => '/cgi-bin/luci/' + path,
		resource: (path) => '/luci-static/resources/' + path,
		hasViewPermission: () => !L.env.readonly,
		resolveDefault: (value, otherwise) => Promise.resolve(value).catch(() => otherwise),

		require(name) {
			if (modules[name])
				return Promise.resolve(modules[name]);

			return loaded[name] || (loaded[name] = L.load(name));
		},

		async load(name) {
			const url = L.resource(name.replace(/\./g, '/') + '.js');
			const response = await fetch(url);
			if (!response.ok)
				throw new Error(url + ': ' + response.status);

			const source = await response.text();
			const wanted = [ ...source.matchAll(/^'require\s+(\S+?)(?:\s+as\s+(\w+))?';$/gm) ];
			const names = wanted.map((each) => each[2] || each[1].replace(/\W/g, '_'));
			const values = await Promise.all(wanted.map((each) => L.require(each[1])));
			const made = new Function(...names, source + '\n//# sourceURL=' + url)(...values);

			return new made();
		}
	};

	document.addEventListener('DOMContentLoaded', async () => {
		try {
			if (L.env.tile) {
				const tile = await L.require(L.env.tile);
				const node = await tile.render(await tile.load());
				const place = document.querySelector('#view');
				dom.content(place, node ? [ E('h3', [ tile.title ]), node ] : []);
				place.dataset.ready = 'true';
			}
			else {
				await (await L.require('view.' + L.env.view.replace(/\//g, '.'))).start();
			}
		}
		catch (error) {
			document.querySelector('#view').textContent = 'Error: ' + error.message;
			console.error(error);
		}
	});
})();
