################################################################################
#
# efibootguard
#
################################################################################

EFIBOOTGUARD_VERSION = v0.19
EFIBOOTGUARD_SITE = https://github.com/siemens/efibootguard.git
EFIBOOTGUARD_SITE_METHOD = git
EFIBOOTGUARD_LICENSE = GPL-2.0
EFIBOOTGUARD_LICENSE_FILES = COPYING
EFIBOOTGUARD_AUTORECONF = YES
EFIBOOTGUARD_AUTORECONF_OPTS = -I m4
EFIBOOTGUARD_DEPENDENCIES = gnu-efi host-autoconf-archive host-pkgconf pciutils
HOST_EFIBOOTGUARD_DEPENDENCIES = host-autoconf-archive host-pkgconf

# Its configuration asks for the library of its unit tests, which are not built.
EFIBOOTGUARD_CONF_ENV = LIBCHECK_CFLAGS=" " LIBCHECK_LIBS=" "
HOST_EFIBOOTGUARD_CONF_ENV = LIBCHECK_CFLAGS=" " LIBCHECK_LIBS=" "

EFIBOOTGUARD_CONF_OPTS = \
	--disable-completion \
	--with-gnuefi-sys-dir=$(STAGING_DIR) \
	--with-gnuefi-include-dir=$(STAGING_DIR)/usr/include/efi \
	--with-gnuefi-lib-dir=$(STAGING_DIR)/usr/lib
HOST_EFIBOOTGUARD_CONF_OPTS = --disable-bootloader --disable-completion

# What a box never needs: it is written onto the disk when that is made.
define EFIBOOTGUARD_MOVE_TO_IMAGES
	mkdir -p $(BINARIES_DIR)/efibootguard
	mv $(TARGET_DIR)/usr/lib/efibootguard/*.efi $(BINARIES_DIR)/efibootguard/
	rm -rf $(TARGET_DIR)/usr/lib/efibootguard
	rm -f $(TARGET_DIR)/usr/bin/bg_gen_unified_kernel
endef
EFIBOOTGUARD_POST_INSTALL_TARGET_HOOKS += EFIBOOTGUARD_MOVE_TO_IMAGES

$(eval $(autotools-package))
$(eval $(host-autotools-package))
