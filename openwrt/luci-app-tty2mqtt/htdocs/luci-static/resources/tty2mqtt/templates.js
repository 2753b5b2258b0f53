'use strict';
'require baseclass';

/* Kinds of devices for a new port: its lines in the configuration, and bytes that such a device sends,
 * in hexadecimal digits if `hex`. The devices of tests/golden, which has more of each. */
return baseclass.extend({
	kinds: [
		{
			id: 'columns',
			name: _('Columns: numbers with commas between them, as of an Arduino'),
			line: '9600 8N1',
			body: [
				'decode:',
				'  fields:',
				'    names: [{name: temperature, unit: °C}, {name: humidity, unit: "%"}]'
			],
			bytes: '21.50,40\n'
		},
		{
			id: 'pairs',
			name: _('Pairs: name=value'),
			line: '9600 8N1',
			body: [
				'decode:',
				'  pairs:',
				'    fields: [{name: temperature, unit: °C}, {name: humidity, unit: "%"}]'
			],
			bytes: 'temperature=21.50 humidity=40\n'
		},
		{
			id: 'json',
			name: _('JSON, an object in each line'),
			line: '115200 8N1',
			body: [
				'decode:',
				'  json:',
				'    fields: [{name: temperature, from: /t, unit: °C}, {name: battery, from: /mv, scale: 0.001, unit: V}]'
			],
			bytes: '{"t":21.50,"mv":3712}\n'
		},
		{
			id: 'text',
			name: _('Lines of text, as they are'),
			line: '9600 8N1',
			body: [ 'decode: text' ],
			bytes: 'door open\n'
		},
		{
			id: 'aiko',
			name: _('Aiko nodes'),
			line: '38400 8N1',
			body: [
				'decode: sexpr',
				'messages:',
				'  - topic: "{gateway}/{node}/{field}"'
			],
			bytes: '(node pebble_1 ? (temperature 22.5 C) (light 300 lux))\n'
		},
		{
			id: 'dsmr',
			name: _('Smart meter, DSMR P1'),
			line: '115200 8N1',
			body: [
				'framing: {delimited: {start: "/", end: "!", trailer: 6}}',
				'checksum: {crc16-arc: {format: hex, trailing: 2}}',
				'decode:',
				'  pairs:',
				'    between: "\\r\\n"',
				'    equals: "("',
				'    close: ")"',
				'    unit: "*"',
				'    fields:',
				'      - {name: energy_low, from: "1-0:1.8.1"}',
				'      - {name: power, from: "1-0:1.7.0"}',
				'      - {name: tariff, from: "0-0:96.14.0", lookup: {"0001": low, "0002": high}}',
				'      - {name: gas, from: "0-1:24.2.1"}'
			],
			bytes: '/ISk5\\2MT382-1000\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0(101209113020W)\r\n0-0:96.1.1(4B384547303034303436333935353037)\r\n1-0:1.8.1(123456.789*kWh)\r\n1-0:1.8.2(123456.789*kWh)\r\n1-0:2.8.1(123456.789*kWh)\r\n1-0:2.8.2(123456.789*kWh)\r\n0-0:96.14.0(0002)\r\n1-0:1.7.0(01.193*kW)\r\n1-0:2.7.0(00.000*kW)\r\n0-1:24.1.0(003)\r\n0-1:96.1.0(3232323241424344313233343536373839)\r\n0-1:24.2.1(101209112500W)(12785.123*m3)\r\n!45E8\r\n',
			crlf: true
		},
		{
			id: 'nmea',
			name: _('GPS receiver, NMEA 0183'),
			line: '4800 8N1',
			body: [
				'framing: {delimited: {start: "$", end: "\\r\\n"}}',
				'checksum: {xor8: {format: hex, from: 1, separator: "*"}}',
				'frames:',
				'  - prefix: GPGGA',
				'    decode:',
				'      fields:',
				'        names: [_, _, latitude, _, longitude, _, _, {name: satellites, type: number}, _, {name: altitude, unit: m}]',
				'    messages:',
				'      - {topic: "{gateway}/{port}/{field}", fields: [latitude, longitude, satellites, altitude]}'
			],
			bytes: '$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n',
			crlf: true
		},
		{
			id: 'pms5003',
			name: _('Dust sensor, PMS5003'),
			line: '9600 8N1',
			body: [
				'framing: {length: {prefix: "hex:42 4D", offset: 2, size: 2}}',
				'checksum: sum16',
				'decode:',
				'  binary:',
				'    fields:',
				'      - {name: pm1_0, at: 10, type: u16, unit: µg/m³}',
				'      - {name: pm2_5, at: 12, type: u16, unit: µg/m³}',
				'      - {name: pm10, at: 14, type: u16, unit: µg/m³}'
			],
			bytes: '42 4d 00 1c 00 05 00 08 00 09 00 05 00 08 00 09 04 17 01 38 00 36 00 06 00 02 00 01 97 00 02 01',
			hex: true
		},
		{
			id: 'modbus',
			name: _('Modbus RTU, listening to a meter that another device polls'),
			line: '9600 8N1',
			body: [
				'framing: gap',
				'checksum: crc16-modbus',
				'frames:',
				'  - prefix: "hex:01 03 04"',
				'    decode: {binary: {fields: [{name: energy, at: 3, type: u32, scale: 0.001, unit: kWh}]}}'
			],
			bytes: '01 03 04 43 6B 58 0E 24 6F',
			hex: true
		}
	]
});
