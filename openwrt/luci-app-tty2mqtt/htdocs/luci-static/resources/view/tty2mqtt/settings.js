'use strict';
'require view';
'require form';

return view.extend({
	render() {
		const map = new form.Map('tty2mqtt', _('Service and broker'),
			_('What a router has to know of the gateway. Ports, devices and topics stand in its configuration file.'));
		const section = map.section(form.NamedSection, 'main', 'tty2mqtt');
		let option;

		section.tab('service', _('Service'));
		section.tab('broker', _('Broker'), _('What is given here counts instead of the configuration file. Empty fields leave it as it is there.'));

		option = section.taboption('service', form.Flag, 'enabled', _('Enabled'), _('Runs now and after each start of the router.'));
		option.default = '0';
		option.rmempty = false;

		option = section.taboption('service', form.Value, 'config', _('Configuration file'));
		option.default = '/etc/tty2mqtt/config.yaml';
		option.rmempty = false;
		option.validate = (id, value) => /^\/.*\.ya?ml$/.test(value) ? true : _('A whole path that ends in .yaml');

		option = section.taboption('service', form.Value, 'log', _('Log'),
			_('One word, or single modules too: info,port=debug. The system log holds little; “debug” has a line for each frame.'));
		for (const level of [ 'error', 'warn', 'info', 'debug', 'trace' ])
			option.value(level);
		option.default = 'info';
		option.rmempty = false;

		option = section.taboption('service', form.DynamicList, 'interface', _('Interfaces'),
			_('When one of them comes up, the gateway connects at once.'));
		option.placeholder = 'wan';

		option = section.taboption('service', form.Flag, 'jail', _('Jail'), _('The gateway sees only the files that it needs.'));
		option.default = '1';
		option.rmempty = false;

		option = section.taboption('broker', form.Value, 'url', _('Address'), _('mqtts:// for TLS'));
		option.placeholder = 'mqtt://192.168.1.10';
		option.validate = (id, value) => !value || /^(mqtts?|wss?|unix):\/\/\S+$/.test(value) ? true
			: _('An address such as mqtt://192.168.1.10 or mqtts://broker.example.org');

		option = section.taboption('broker', form.Value, 'username', _('User name'));

		option = section.taboption('broker', form.Value, 'password', _('Password'));
		option.password = true;

		return map.render();
	}
});
