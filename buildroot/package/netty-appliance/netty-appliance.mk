################################################################################
#
# netty-appliance
#
################################################################################

NETTY_APPLIANCE_VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' $(BR2_EXTERNAL_NETTY_PATH)/../pyproject.toml)
NETTY_APPLIANCE_SITE = $(BR2_EXTERNAL_NETTY_PATH)/..
NETTY_APPLIANCE_SITE_METHOD = local
NETTY_APPLIANCE_SETUP_TYPE = setuptools
NETTY_APPLIANCE_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = \
	--exclude=/.venv --exclude=/build --exclude=/buildroot --exclude=/docs \
	--exclude=/overlay --exclude=/tests --exclude=/tools --exclude=*.egg-info
NETTY_APPLIANCE_LICENSE = PROPRIETARY
NETTY_APPLIANCE_REDISTRIBUTE = NO

$(eval $(python-package))
