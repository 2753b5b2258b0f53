# See ../rules.mk. What comes of a package NAME, in $(STAGE)/NAME:
#   fields       KEY=value, one a line
#   description, conffiles, postinst, prerm   as the Makefile has them, empty if it has none
#   root/        its files

# Taken by `install`, as Build/Prepare of OpenWrt would leave it.
PKG_BUILD_DIR?=$(BUILD_DIR)/$(PKG_NAME)-$(PKG_VERSION)

all:
.PHONY: all

define Package/Default
  SECTION:=opt
  TITLE:=
  DEPENDS:=
  CONFLICTS:=
  PROVIDES:=
  USERID:=
  PKGARCH:=
  VARIANT:=
  DEFAULT_VARIANT:=
endef

FIELDS:=PKG_NAME PKG_VERSION PKG_RELEASE PKG_LICENSE PKG_LICENSE_FILES PKG_MAINTAINER URL SECTION TITLE \
	DEPENDS CONFLICTS PROVIDES USERID PKGARCH DEFAULT_VARIANT

define newline


endef

define BuildPackage
$(eval $(Package/Default))$(eval $(Package/$(1)))
$(if $(filter =$(BUILD_VARIANT),=$(or $(VARIANT),$(BUILD_VARIANT))),$(call Describe,$(1))$(eval $(call Stage,$(1))))
endef

define Describe
$(shell rm -rf $(STAGE)/$(1) && mkdir -p $(STAGE)/$(1)/root)
$(file >$(STAGE)/$(1)/fields,$(foreach field,$(FIELDS),$(field)=$(strip $($(field)))$(newline)))
$(foreach text,description conffiles postinst prerm,$(file >$(STAGE)/$(1)/$(text),$(Package/$(1)/$(text))))
endef

define Stage
all: $(1)
.PHONY: $(1)
$(1): prepared
	$(call Package/$(1)/install,$(STAGE)/$(1)/root)
endef

.PHONY: prepared
prepared:
	$(Build/Prepare)
