# See ../../rules.mk. As LuCI's own luci.mk: the folder names the package, htdocs goes to /www and root
# to /, rpcd and the menu's cache learn of it. That one would also translate; there is nothing yet.

PKG_NAME?=$(notdir $(CURDIR))
# LuCI's packages have the version of its repository, ours that of the program.
PKG_VERSION?=$(shell sed -n 's/^PKG_VERSION:=//p' ../Makefile)
PKG_RELEASE?=$(shell sed -n 's/^PKG_RELEASE:=//p' ../Makefile)

include $(INCLUDE_DIR)/package.mk

define Package/$(PKG_NAME)
  SECTION:=luci
  TITLE:=$(LUCI_TITLE)
  DEPENDS:=$(LUCI_DEPENDS)
  PKGARCH:=$(LUCI_PKGARCH)
endef

define Package/$(PKG_NAME)/description
$(LUCI_DESCRIPTION)
endef

# Of a checkout's modes only what is executable counts, not the umask that it was made with.
define Package/$(PKG_NAME)/install
	$(INSTALL_DIR) $(1)/www
	$(CP) ./htdocs/* $(1)/www/
	$(CP) ./root/* $(1)/
	chmod -R u=rwX,go=rX $(1)
endef

define Package/$(PKG_NAME)/postinst
[ -n "$${IPKG_INSTROOT}" ] || {
	rm -f /tmp/luci-indexcache.*
	rm -rf /tmp/luci-modulecache/
	killall -HUP rpcd 2>/dev/null
	exit 0
}
endef

$(eval $(call BuildPackage,$(PKG_NAME)))
