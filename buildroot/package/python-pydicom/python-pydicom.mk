################################################################################
#
# python-pydicom
#
################################################################################

PYTHON_PYDICOM_VERSION = 3.0.2
PYTHON_PYDICOM_SOURCE = pydicom-$(PYTHON_PYDICOM_VERSION).tar.gz
PYTHON_PYDICOM_SITE = https://files.pythonhosted.org/packages/7a/de/52aaf905f1f0ae7aba85996e2592ea2c1fe49157f3cfbcd1871965bdb51d
PYTHON_PYDICOM_SETUP_TYPE = flit
PYTHON_PYDICOM_LICENSE = MIT
PYTHON_PYDICOM_LICENSE_FILES = LICENSE

# Nearly half of what is installed: files that only its own tests read.
define PYTHON_PYDICOM_REMOVE_TEST_FILES
	rm -rf $(TARGET_DIR)/usr/lib/python$(PYTHON3_VERSION_MAJOR)/site-packages/pydicom/data/test_files
endef
PYTHON_PYDICOM_POST_INSTALL_TARGET_HOOKS += PYTHON_PYDICOM_REMOVE_TEST_FILES

$(eval $(python-package))
