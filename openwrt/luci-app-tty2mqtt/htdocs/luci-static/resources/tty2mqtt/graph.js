'use strict';
'require baseclass';

/* Curves of the last minutes as plain SVG. Samples are [seconds, number]. */

function svg(tag, attributes, children) {
	const node = document.createElementNS('http://www.w3.org/2000/svg', tag);

	for (const key in attributes)
		node.setAttribute(key, attributes[key]);

	(children || []).forEach((child) => node.appendChild(child));

	return node;
}

/* Points of a box of 100 by 100 that is stretched to whatever room there is. */
function points(samples, end, span, low, high) {
	return samples.map(([ at, value ]) => {
		const x = 100 - 100 * (end - at) / span;
		const y = 100 - 100 * (value - low) / (high - low);

		return x.toFixed(2) + ',' + y.toFixed(2);
	}).join(' ');
}

/* The next of 1, 2, 5, 10, 20... */
function round(peak) {
	const power = Math.pow(10, Math.floor(Math.log10(peak)));

	return [ 1, 2, 5, 10 ].find((step) => step * power >= peak) * power;
}

function number(value) {
	return value >= 100 || value == Math.round(value) ? value.toFixed(0) : value.toPrecision(2);
}

return baseclass.extend({
	/* A curve without axes, its lowest value below and its highest above. */
	sparkline(samples, end, span) {
		const values = samples.map((sample) => sample[1]);
		const low = Math.min(...values), high = Math.max(...values);
		const flat = high == low;
		const curve = svg('polyline', {
			points: points(samples, end, span, flat ? low - 1 : low, flat ? high + 1 : high)
		});

		return svg('svg', {
			'class': 'tty2mqtt-sparkline',
			'viewBox': '-2 -10 104 120',
			'preserveAspectRatio': 'none',
			'role': 'img',
			'aria-label': _('from %s to %s').format(low, high)
		}, samples.length > 1 ? [ curve ] : []);
	},

	/* A graph like those of LuCI's realtime pages. `series`: what each curve is called; `least`: what the
	 * top stands for at least. */
	graph(title, unit, series, span, least) {
		const curves = series.map((name, i) => svg('polyline', { 'class': 'curve' + i }));
		const minutes = [];

		for (let minute = 1; minute < span / 60; minute++) {
			const x = 100 - 6000 * minute / span;
			minutes.push(svg('line', { x1: x, x2: x, y1: 0, y2: 100 }));
		}

		for (const y of [ 25, 50, 75 ])
			minutes.push(svg('line', { x1: 0, x2: 100, y1: y, y2: y }));

		const labels = [ 25, 50, 75 ].map((y) => E('span', { 'style': 'top:%d%%'.format(100 - y) }));
		const times = minutes.slice(0, -3).map((line, i) =>
			E('span', { 'class': 'time', 'style': 'left:%s%%'.format(line.getAttribute('x1')) }, [ _('%dm').format(i + 1) ]));
		const numbers = series.map(() => E('td', { 'class': 'td' }));

		const node = E('figure', { 'class': 'tty2mqtt-graph' }, [
			E('figcaption', [ title, ' ', E('small', [ unit ]) ]),
			E('div', { 'class': 'plot' }, [
				svg('svg', { viewBox: '0 0 100 100', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, minutes.concat(curves))
			].concat(labels, times)),
			E('table', { 'class': 'legend' }, series.map((name, i) => E('tr', [
				E('th', [ E('i', { 'class': 'curve' + i }), name ]), numbers[i]
			])))
		]);

		return {
			node: node,

			/* `data`: the samples of each curve. */
			draw(data, end) {
				const all = data.map((samples) => samples.map((sample) => sample[1]));
				const peak = Math.max(least, round(Math.max(1, ...all.flat())));

				labels.forEach((label, i) => { label.textContent = number(peak * (i + 1) / 4) });

				data.forEach((samples, i) => {
					const values = all[i];
					const sum = values.reduce((sum, value) => sum + value, 0);

					curves[i].setAttribute('points', points(samples, end, span, 0, peak));
					numbers[i].textContent = values.length
						? _('now %s, average %s, peak %s').format(number(values[values.length - 1]),
							number(sum / values.length), number(Math.max(...values)))
						: '–';
				});
			}
		};
	}
});
