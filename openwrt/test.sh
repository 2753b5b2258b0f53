#!/bin/sh
# Run by the packages feed's CI on the router: test.sh PACKAGE VERSION.

case "$1" in
tty2mqtt | tty2mqtt-mini)
	tty2mqtt --version | grep -F "tty2mqtt $2"
	;;
esac
