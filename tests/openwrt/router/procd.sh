# What OpenWrt's procd.sh does, as far as our script uses it: each call adds to a JSON object, which
# is handed to procd over ubus in the end. Arguments are split where the original splits them.
# shellcheck disable=SC2068

_json=
_mounts=
_triggers=

_text() {
	printf '"'
	printf '%s' "$1" | sed -e 's/[\\"]/\\&/g'
	printf '"'
}

_add() { _json="$_json${_json:+,}$1"; }

# A list of texts.
_list() {
	local out="" text

	for text in "$@"; do out="$out${out:+,}$(_text "$text")"; done
	printf '[%s]' "$out"
}

# A table of texts from name=value.
_table() {
	local out="" pair

	for pair in "$@"; do out="$out${out:+,}$(_text "${pair%%=*}"):$(_text "${pair#*=}")"; done
	printf '{%s}' "$out"
}

procd_open_service() { _service="$(_text "$1")"; }

procd_close_service() {
	local instances="$_json"

	service_triggers
	ubus call service set "{\"name\":$_service,\"instances\":{$instances},\"triggers\":[$_triggers]}"
	_json=
	_triggers=
}

procd_open_instance() {
	_instance="$(_text "$1")"
	_json=
}

procd_close_instance() {
	[ -z "$_jail" ] || _add "\"jail\":{$_jail,\"mount\":{$_mounts}}"
	_json="$_instance:{$_json}"
}

procd_set_param() {
	local type="$1"

	shift
	case "$type" in
	limits | env | data) _add "\"$type\":$(_table "$@")" ;;
	command | file | respawn) _add "\"$type\":$(_list "$@")" ;;
	term_timeout) _add "\"$type\":$1" ;;
	reload_signal) _add "\"$type\":$(kill -l "$1")" ;;
	user | group) _add "\"$type\":$(_text "$1")" ;;
	stdout | stderr | no_new_privs) _add "\"$type\":$([ "$1" = 1 ] && echo true || echo false)" ;;
	*)
		echo "procd_set_param: $type?" >&2
		exit 99
		;;
	esac
}

procd_add_jail() {
	local flag

	_jail="\"name\":$(_text "$1")"
	shift
	for flag in $@; do _jail="$_jail,\"$flag\":true"; done
}

procd_add_jail_mount() {
	local path

	for path in $@; do _mounts="$_mounts${_mounts:+,}$(_text "$path"):\"0\""; done
}

procd_add_jail_mount_rw() {
	local path

	for path in $@; do _mounts="$_mounts${_mounts:+,}$(_text "$path"):\"1\""; done
}

_trigger() { _triggers="$_triggers${_triggers:+,}[$1,[\"if\",[\"eq\",$2],$3],1000]"; }

procd_add_reload_trigger() {
	_trigger '"config.change"' "\"package\",$(_text "$1")" "$(_list run_script "$initscript" reload)"
}

procd_add_interface_trigger() {
	local event="$1" interface="$2"

	shift 2
	_trigger "$(_text "$event")" "\"interface\",$(_text "$interface")" "$(_list run_script "$@")"
}

# The original looks the mount point up in /etc/config/fstab.
procd_add_restart_mount_trigger() {
	_trigger '"mount.add"' "\"target\",$(_text "${1%/*}")" "$(_list run_script "$initscript" restart)"
}

procd_add_raw_trigger() {
	local event="$1" timeout="$2"

	shift 2
	_triggers="$_triggers${_triggers:+,}[$(_text "$event"),[$(_list run_script "$@")],$timeout]"
}

procd_kill() { ubus call service delete "{\"name\":$(_text "$1")}"; }
