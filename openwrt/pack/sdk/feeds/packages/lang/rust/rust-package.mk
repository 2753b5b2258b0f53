# See ../../../../rules.mk. The programs are built already.
RUST_ARCH_DEPENDS:=@rust
define RustBinPackage
endef
