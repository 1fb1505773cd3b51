################################################################################
#
# python-gdcm
#
################################################################################

PYTHON_GDCM_VERSION = 3.2.6
PYTHON_GDCM_SOURCE = python_gdcm-$(PYTHON_GDCM_VERSION).tar.gz
PYTHON_GDCM_SITE = https://files.pythonhosted.org/packages/c1/99/83550191a6bd7278c13c623270d69b0ee99b8b998e81e10f6924dce130c6
PYTHON_GDCM_LICENSE = Apache-2.0 (packaging), BSD-3-Clause (gdcm)
PYTHON_GDCM_LICENSE_FILES = LICENSE gdcm_src/Copyright.txt

# GDCM's own build, as cross compilation wants it: the package from PyPI
# brings its source, and would build it for the host's Python.
PYTHON_GDCM_SUBDIR = gdcm_src
PYTHON_GDCM_SUPPORTS_IN_SOURCE_BUILD = NO
PYTHON_GDCM_DEPENDENCIES = \
	host-pkgconf host-python3 host-swig \
	expat openjpeg openssl python3 util-linux zlib

PYTHON_GDCM_CONF_OPTS = \
	-DGDCM_BUILD_APPLICATIONS=OFF \
	-DGDCM_BUILD_EXAMPLES=OFF \
	-DGDCM_BUILD_SHARED_LIBS=ON \
	-DGDCM_BUILD_TESTING=OFF \
	-DGDCM_DOCUMENTATION=OFF \
	-DGDCM_INSTALL_PYTHONMODULE_DIR=lib/python$(PYTHON3_VERSION_MAJOR)/site-packages \
	-DGDCM_NO_PYTHON_LIBS_LINKING=ON \
	-DGDCM_USE_SYSTEM_EXPAT=ON \
	-DGDCM_USE_SYSTEM_OPENJPEG=ON \
	-DGDCM_USE_SYSTEM_OPENSSL=ON \
	-DGDCM_USE_SYSTEM_UUID=ON \
	-DGDCM_USE_SYSTEM_ZLIB=ON \
	-DGDCM_WRAP_PYTHON=ON \
	-DPYTHON_EXECUTABLE=$(HOST_DIR)/bin/python3 \
	-DPYTHON_INCLUDE_DIR=$(STAGING_DIR)/usr/include/python$(PYTHON3_VERSION_MAJOR) \
	-DPYTHON_LIBRARY=$(STAGING_DIR)/usr/lib/libpython$(PYTHON3_VERSION_MAJOR).so \
	-DSWIG_EXECUTABLE=$(HOST_DIR)/bin/swig

$(eval $(cmake-package))
