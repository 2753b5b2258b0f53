# What OpenWrt's /lib/functions.sh and /lib/config/uci.sh do, as far as our scripts use it. `uci
# export` prints calls of config, option and list with values in single quotes, and the shell runs
# them; a file of UCI is taken here as it would be printed.
# shellcheck disable=SC1090,SC3045

config_load() { . "/etc/config/$1"; }

config() { CONFIG_SECTION="$2"; }

option() { export -n "CONFIG_${CONFIG_SECTION}_$1=$2"; }

list() {
	local items

	config_get items "$CONFIG_SECTION" "$1"
	option "$1" "${items:+$items }$2"
}

# Twice expanded, like the original: a value must come through whole.
config_get() { eval export -n -- "$1=\${CONFIG_$2_$3:-\$4}"; }

config_get_bool() {
	local value

	config_get value "$2" "$3" "$4"
	case "$value" in
	1 | on | true | yes | enabled) value=1 ;;
	0 | off | false | no | disabled) value=0 ;;
	*) value="$4" ;;
	esac
	export -n "$1=$value"
}

group_exists() { grep -qs "^$1:" /etc/group; }

user_exists() { grep -qs "^$1:" /etc/passwd; }

group_add() { echo "$1:x:$2:" >>/etc/group; }

group_add_next() {
	local gid

	gid="$(grep -s "^$1:" /etc/group | cut -d: -f3)"
	[ -n "$gid" ] || {
		gid=32768
		while grep -q "^[^:]*:[^:]*:$gid:" /etc/group; do gid=$((gid + 1)); done
		group_add "$1" "$gid"
	}
	echo "$gid"
}

group_add_user() {
	local line comma=,

	line="$(grep "^$1:" /etc/group)"
	echo "$line" | cut -d: -f4 | grep -q "$2" && return
	case "$line" in *:) comma= ;; esac
	sed -i "s/^$line\$/$line$comma$2/" /etc/group
}

user_add() {
	local uid="$2"

	[ -n "$uid" ] || {
		uid=32768
		while grep -q "^[^:]*:[^:]*:$uid:" /etc/passwd; do uid=$((uid + 1)); done
	}
	echo "$1:x:$uid:${3:-$uid}:${4:-$1}:${5:-/var/run/$1}:${6:-/bin/false}" >>/etc/passwd
}
