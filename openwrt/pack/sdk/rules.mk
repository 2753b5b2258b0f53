# Just enough of OpenWrt's build system to describe and install the packages of a feed Makefile, so
# that it is written once: OpenWrt builds from it, and so does openwrt/pack. The variables and macros
# are those of OpenWrt's rules.mk, with the same modes.
#
# TOPDIR         this folder
# STAGE          where the packages go, one folder each
# BINARIES       VARIANT/bin/ with the program of each variant
# BUILD_VARIANT  whose packages are wanted; OpenWrt too runs the Makefile once for each

INCLUDE_DIR:=$(TOPDIR)/include
BUILD_DIR:=$(STAGE)/build
PKG_INSTALL_DIR=$(BINARIES)/$(BUILD_VARIANT)

INSTALL_DIR:=install -d -m0755
INSTALL_BIN:=install -m0755
INSTALL_DATA:=install -m0644
INSTALL_CONF:=install -m0600
CP:=cp -fpR
