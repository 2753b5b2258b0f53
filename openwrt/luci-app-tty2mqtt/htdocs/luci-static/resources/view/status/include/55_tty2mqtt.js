'use strict';
'require baseclass';
'require tty2mqtt.gateway as gateway';

return baseclass.extend({
	title: _('Serial to MQTT'),

	load() {
		return gateway.style().then(() => L.resolveDefault(gateway.status(), null));
	},

	render(status) {
		/* Who may not ask sees no tile. */
		if (status == null)
			return null;

		const rows = [];

		if (status.ports == null) {
			rows.push([ _('Gateway'), gateway.badge('off', _('does not run')) ]);
		}
		else {
			const ports = Object.values(status.ports);
			const open = ports.filter((port) => port.state == 'open').length;

			rows.push(
				[ _('Broker'), gateway.brokerBadge(status.broker) ],
				[ _('Ports'), gateway.badge(open == ports.length ? 'good' : 'poor', _('%d of %d open').format(open, ports.length)) ],
				[ _('Outbox'), document.createTextNode(_('%d messages').format(status.broker.outbox?.messages || 0)) ]
			);
		}

		return E('table', { 'class': 'table' }, rows.map(([ name, value ]) => E('tr', { 'class': 'tr' }, [
			E('td', { 'class': 'td left', 'width': '33%' }, [ name ]), E('td', { 'class': 'td left' }, [ value ])
		])));
	}
});
