'use strict';
'require baseclass';

/* Changes to the text of a configuration that leave every other line as it is. */
return baseclass.extend({
	/* The text with one more port; `lines` are its own, without indentation. */
	insertPort(text, name, lines) {
		const rows = text.split('\n');
		const head = rows.findIndex((row) => /^ports:\s*(#.*|\{\s*\}\s*|~\s*|null\s*)?$/.test(row));

		if (head < 0) {
			const body = text.replace(/\s*$/, '');

			return (body ? body + '\n\n' : '') + 'ports:\n' + this.port(name, lines, '  ').join('\n') + '\n';
		}

		/* The section ends where something else begins at the margin. */
		let end = head;
		for (let i = head + 1; i < rows.length && !/^[^\s#]/.test(rows[i]); i++)
			if (/^\s+\S/.test(rows[i]))
				end = i;

		const first = rows.slice(head + 1, end + 1).find((row) => /^\s+[^\s#]/.test(row));
		const indent = first ? first.match(/^\s+/)[0] : '  ';

		rows[head] = rows[head].replace(/^ports:\s*(\{\s*\}|~|null)\s*$/, 'ports:');
		rows.splice(end + 1, 0, ...this.port(name, lines, indent));

		return rows.join('\n');
	},

	port(name, lines, indent) {
		return [ indent + name + ':' ].concat(lines.map((line) => indent + '  ' + line));
	},

	/* Whether Home Assistant is told of the devices; null if the key has more than a word. */
	homeAssistant(text) {
		const row = text.split('\n').find((row) => /^home_assistant\s*:/.test(row));
		const word = row?.match(/^home_assistant\s*:\s*(true|false|off)?\s*(#.*)?$/);

		return row == null ? false : word?.[1] == null ? null : word[1] == 'true';
	},

	/* The text with the key on or off, where homeAssistant() is not null. */
	setHomeAssistant(text, on) {
		const rows = text.split('\n');
		const at = rows.findIndex((row) => /^home_assistant\s*:/.test(row));
		const ports = rows.findIndex((row) => /^ports\s*:/.test(row));

		if (at >= 0)
			rows[at] = rows[at].replace(/(true|false|off)/, String(on));
		else if (on)
			rows.splice(ports < 0 ? rows.length : ports, 0, 'home_assistant: true', '');

		return rows.join('\n');
	},

	/* Where a line, from 1, begins in the text. */
	offset(text, line) {
		return text.split('\n').slice(0, line - 1).reduce((sum, row) => sum + row.length + 1, 0);
	}
});
