#!/bin/sh
# mosquitto 2.0.11 grants subscriptions that its acl_file forbids to read: SUBACK says the QoS that was asked
# for, in 3.1.1 and in 5.0 alike, and no message is ever delivered (MQTT 5.0, 3.9.3 has 0x87 for it).
#
# Matters because a granted subscription proves nothing: a client that subscribes to its own status, to
# notice when somebody else overwrites it, hears nothing there, and cannot tell. Repeating the status works
# with every ACL.
#
# Exits 0 while this is so.
set -eu
folder=$(mktemp -d)
broker=
trap 'test -z "$broker" || kill "$broker"; rm -rf "$folder"' EXIT
(cd "$folder" && apt-get download -q mosquitto=2.0.11-1.2+deb12u2 mosquitto-clients=2.0.11-1.2+deb12u2 >apt 2>&1 &&
	for package in ./*.deb; do dpkg-deb -x "$package" .; done)
port=18839
printf 'topic write status\ntopic readwrite open\n' > "$folder/acl"
printf 'listener %s 127.0.0.1\nallow_anonymous true\nacl_file %s/acl\nuser root\n' "$port" "$folder" > "$folder/conf"
"$folder/usr/sbin/mosquitto" -c "$folder/conf" > "$folder/log" 2>&1 &
broker=$!
pub() { "$folder/usr/bin/mosquitto_pub" -p "$port" -q 1 "$@"; }
tries=0
until pub -t open -m x 2>/dev/null; do
	tries=$((tries + 1))
	test "$tries" -lt 50 || { cat "$folder/log"; exit 2; }
	sleep 0.1
done
pub -r -t status -m kept
pub -r -t open -m kept
for version in 311 5; do
	# Both are kept, so both would come at once; the second one ends it.
	heard=$("$folder/usr/bin/mosquitto_sub" -V "mqttv$version" -p "$port" -d -t status -t open -C 1 -W 10 -F '%t' 2>&1)
	granted=$(echo "$heard" | sed -n 's/^Subscribed (mid: [0-9]*): //p')
	came=$(echo "$heard" | grep -c '^status$' || true)
	echo "version $version: granted $granted; messages of the forbidden topic: $came"
	test "$granted" = "0, 0" || { echo "the subscription is refused now"; exit 1; }
	test "$came" = 0 || { echo "the message comes now"; exit 1; }
done
