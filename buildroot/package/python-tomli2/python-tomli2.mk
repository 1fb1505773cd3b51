################################################################################
#
# python-tomli2
#
################################################################################

PYTHON_TOMLI2_VERSION = 2.5.0
PYTHON_TOMLI2_SOURCE = tomli-$(PYTHON_TOMLI2_VERSION).tar.gz
PYTHON_TOMLI2_SITE = https://files.pythonhosted.org/packages/b0/78/9ad63712633ed3ab5cc1a648d863d7e7da371e9425e209555a0fe711b695
PYTHON_TOMLI2_SETUP_TYPE = flit
PYTHON_TOMLI2_LICENSE = MIT
PYTHON_TOMLI2_LICENSE_FILES = LICENSE

# It asks for a newer flit_core than Buildroot's, with which it builds all the
# same.
PYTHON_TOMLI2_BUILD_OPTS = --skip-dependency-check

$(eval $(python-package))
